// Turns the pictures of shells and clusters into views. One WebGL canvas serves the whole page: it moves to the stage
// that is looked at. Without scripts or WebGL the still pictures are all there is, and they say the same.
(() => {
  const source = document.getElementById("scenes");
  if (!source || !window.$3Dmol) return;
  const probe = document.createElement("canvas");
  if (!(probe.getContext("webgl2") || probe.getContext("webgl"))) return;
  const scenes = JSON.parse(source.textContent);
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const ELEMENTS = { H: "#c4c9cf", C: "#5f6b76", N: "#2f50d8", O: "#cf222e", F: "#2f9e44", S: "#b8860b", P: "#d9730d",
    Li: "#7c3aed", Na: "#7c3aed", K: "#7c3aed", Cs: "#7c3aed", B: "#c2669a", Cl: "#15803d", Si: "#8a6d3b" };
  const canvas = document.createElement("div");
  canvas.className = "canvas";
  let viewer = null, stage = null;

  const paint = () => {
    const scene = scenes[stage.dataset.scene], byElement = stage.dataset.colour === "element";
    viewer.removeAllModels();
    viewer.removeAllShapes();
    const at = (k) => ({ x: scene.xyz[3 * k], y: scene.xyz[3 * k + 1], z: scene.xyz[3 * k + 2] });
    const atoms = scene.element.map((elem, k) =>
      ({ elem, serial: k, index: k, hetflag: true, bonds: [], bondOrder: [], resi: scene.of[k], ...at(k) }));
    for (let b = 0; b < scene.bonds.length; b += 2)
      for (const [i, j] of [[0, 1], [1, 0]]) {
        atoms[scene.bonds[b + i]].bonds.push(scene.bonds[b + j]);
        atoms[scene.bonds[b + i]].bondOrder.push(1);
      }
    const model = viewer.addModel();
    model.addAtoms(atoms);
    scene.species.forEach((_, s) => {
      const thin = scene.faint[s] ? 0.45 : 1;
      const colorfunc = (atom) => byElement ? ELEMENTS[atom.elem] || "#9a6b8a" : scene.colours[s];
      const select = (test) => ({ resi: s, predicate: test });
      model.setStyle(select((a) => !a.bonds.length), { sphere: { radius: 0.62, colorfunc } });
      for (const [test, radius] of [[(a) => a.bonds.length && a.elem === "H", 0.2], [(a) => a.bonds.length && a.elem !== "H", 0.36]])
        model.setStyle(select(test), { stick: { radius: 0.13 * thin, colorfunc }, sphere: { radius: radius * thin, colorfunc } });
    });
    for (let c = 0; c < scene.contacts.length; c += 2)
      viewer.addCylinder({ start: at(scene.contacts[c]), end: at(scene.contacts[c + 1]), radius: 0.05, color: "#1f2933",
        dashed: true, dashLength: 0.18, gapLength: 0.14, fromCap: 1, toCap: 1 });
    viewer.render();
  };
  const home = () => {
    viewer.setView([0, 0, 0, 0, 0, 0, 0, 1]);
    viewer.zoomTo();
    viewer.zoom(0.92);
    viewer.render();
  };
  const spin = () => {
    if (!viewer) return;
    viewer.spin(false);
    if (stage && stage.dataset.spinning === "yes" && stage.dataset.seen === "yes") viewer.spin("y", 0.35);
  };
  const label = () => {
    const scene = scenes[stage.dataset.scene], turning = stage.dataset.spinning === "yes";
    const byElement = stage.dataset.colour === "element";
    stage.querySelector(".view").setAttribute("aria-label", `${scene.alt} Arrow keys turn it, plus and minus zoom, 0 resets, the space bar starts and stops the rotation.`);
    stage.querySelector(".name").textContent = scene.title;
    stage.querySelector("[data-do=spin]").textContent = turning ? "Pause" : "Rotate";
    stage.querySelector("[data-do=colour]").textContent = byElement ? "Colour by species" : "Colour by element";
    const kinds = byElement ? [...new Set(scene.element)].map((e) => [e, ELEMENTS[e] || "#9a6b8a"])
      : scene.shown.map((name, s) => [name, scene.colours[s]]);
    stage.querySelector(".legend").replaceChildren(...kinds.map(([name, colour]) => {
      const item = document.createElement("li"), dot = document.createElement("span");
      dot.style.background = colour;
      item.append(dot, name);
      return item;
    }));
    for (const button of stage.parentElement.querySelectorAll("button[data-scene]"))
      button.setAttribute("aria-pressed", String(button.dataset.scene === stage.dataset.scene));
  };
  const show = (where, fresh = true) => {
    stage = where;
    const view = stage.querySelector(".view");
    if (canvas.parentElement !== view) view.append(canvas);
    viewer ??= $3Dmol.createViewer(canvas, { backgroundColor: "white", antialias: true, disableFog: false });
    viewer.resize();
    paint();
    if (fresh) home();
    label();
    spin();
    stage.dataset.drawn = stage.dataset.scene;
  };
  const DO = {
    spin: () => { stage.dataset.spinning = stage.dataset.spinning === "yes" ? "no" : "yes"; label(); spin(); },
    colour: () => { stage.dataset.colour = stage.dataset.colour === "element" ? "species" : "element"; paint(); label(); },
    home: () => home(),
  };
  const KEYS = {
    ArrowLeft: () => viewer.rotate(-10, "y"), ArrowRight: () => viewer.rotate(10, "y"),
    ArrowUp: () => viewer.rotate(-10, "x"), ArrowDown: () => viewer.rotate(10, "x"),
    "+": () => viewer.zoom(1.15), "=": () => viewer.zoom(1.15), "-": () => viewer.zoom(1 / 1.15),
    0: home, " ": DO.spin,
  };
  const seen = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      target.dataset.seen = isIntersecting ? "yes" : "no";
      if (isIntersecting && stage !== target) show(target);
    }
    spin();
  }, { threshold: 0.3 });

  for (const one of document.querySelectorAll(".stage")) {
    one.hidden = false;
    one.dataset.spinning = still ? "no" : "yes";
    const view = one.querySelector(".view"), here = () => { if (stage !== one) show(one); };
    view.addEventListener("focus", here);
    view.addEventListener("keydown", (event) => {
      if (!KEYS[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      here();
      KEYS[event.key]();
      viewer.render();
    });
    // Until it is clicked or reached by keyboard, a view lets the page scroll past.
    for (const type of ["wheel", "mousewheel", "DOMMouseScroll", "touchstart", "touchmove"])
      view.addEventListener(type, (event) => {
        if (!view.contains(document.activeElement)) event.stopPropagation();
      }, { capture: true, passive: true });
    view.addEventListener("pointerdown", (event) => { if (event.pointerType === "mouse") view.focus({ preventScroll: true }); });
    view.addEventListener("click", () => view.focus({ preventScroll: true }));
    for (const button of one.querySelectorAll("button[data-do]"))
      button.addEventListener("click", () => { here(); DO[button.dataset.do](); });
    for (const button of one.parentElement.querySelectorAll("button[data-scene]")) {
      button.hidden = false;
      button.addEventListener("click", () => {
        one.dataset.scene = button.dataset.scene;
        show(one);
        one.scrollIntoView({ block: "nearest", behavior: still ? "auto" : "smooth" });
      });
    }
    seen.observe(one);
  }
  addEventListener("resize", () => viewer && viewer.resize());
})();
