// Figures as SVG and PNG, made from those on the page when asked for, and texts to copy.
const SVG = "data:image/svg+xml;charset=utf-8,";
function asSvg(svg, scale, unit) {
  const [, , width, height] = svg.getAttribute("viewBox").split(" ").map(Number);
  const copy = svg.cloneNode(true), font = getComputedStyle(svg).getPropertyValue("--figure-font");
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  copy.setAttribute("xmlns:xlink", "http://www.w3.org/1999/xlink");
  copy.setAttribute("width", width * scale + unit);
  copy.setAttribute("height", height * scale + unit);
  copy.removeAttribute("style");
  return new XMLSerializer().serializeToString(copy).replaceAll("var(--figure-font)", font.replaceAll('"', "'"));
}
function asPng(svg) {
  const [, , width, height] = svg.getAttribute("viewBox").split(" ").map(Number), scale = 200 / 72, image = new Image();
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
    image.src = SVG + encodeURIComponent(asSvg(svg, scale, ""));
  });
}
for (const button of document.querySelectorAll("button.save")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const figure = document.getElementById(button.dataset.figure), link = document.createElement("a");
    const svg = figure.querySelector("svg.plot"), kind = button.dataset.as;
    link.href = kind === "svg" ? SVG + encodeURIComponent(asSvg(svg, 1, "pt")) : await asPng(svg);
    link.download = `${button.dataset.figure}.${kind}`;
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
