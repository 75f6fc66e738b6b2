// Figures as PNG, made from the SVG on the page when asked for, and texts to copy.
function asPng(svg, name) {
  const [, , width, height] = svg.getAttribute("viewBox").split(" ").map(Number), scale = 200 / 72;
  const copy = svg.cloneNode(true), font = getComputedStyle(svg).getPropertyValue("--figure-font");
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  copy.setAttribute("xmlns:xlink", "http://www.w3.org/1999/xlink");
  copy.setAttribute("width", width * scale);
  copy.setAttribute("height", height * scale);
  copy.removeAttribute("style");
  const text = new XMLSerializer().serializeToString(copy).replaceAll("var(--figure-font)", font.replaceAll('"', "'"));
  const image = new Image();
  return new Promise((done, failed) => {
    image.onerror = failed;
    image.onload = () => {
      const canvas = document.createElement("canvas");
      [canvas.width, canvas.height] = [Math.round(width * scale), Math.round(height * scale)];
      const pen = canvas.getContext("2d");
      pen.fillStyle = "#ffffff";
      pen.fillRect(0, 0, canvas.width, canvas.height);
      pen.drawImage(image, 0, 0, canvas.width, canvas.height);
      done(canvas.toDataURL("image/png"));
    };
    image.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(text);
  });
}
for (const button of document.querySelectorAll("button.png")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const figure = document.getElementById(button.dataset.figure), link = document.createElement("a");
    link.href = await asPng(figure.querySelector("svg.plot"), button.dataset.figure);
    link.download = `${button.dataset.figure}.png`;
    link.click();
  });
}
for (const button of document.querySelectorAll("button.copy")) {
  button.hidden = !navigator.clipboard;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    button.textContent = "Copied";
  });
}
