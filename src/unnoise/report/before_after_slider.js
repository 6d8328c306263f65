"use strict";
(() => {
  const MOST_ZOOM = 24;
  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

  // A round length (1, 2 or 5 times a power of ten) of at most `longest`.
  function roundLength(longest) {
    const power = 10 ** Math.floor(Math.log10(longest));
    return [5, 2, 1].map((m) => m * power).find((length) => length <= longest) || power;
  }

  function slider(root) {
    const find = (selector) => root.querySelector(selector);
    const all = (selector) => [...root.querySelectorAll(selector)];
    const stage = find(".stage");
    const range = find(".split input");
    const divider = find(".divider");
    const compared = Boolean(divider);
    // zoom is relative to the picture that just fits; (x, y) is the centre, in shares of the picture.
    const now = { view: "whole", mode: "noisy", split: 0.5, zoom: 1, x: 0.5, y: 0.5 };

    const current = () => find(`.view[data-view="${now.view}"]`);
    const frame = find(".frame");
    const splits = () => compared && now.mode === "noisy";

    // Where the current picture lies in the stage, in CSS pixels.
    function layout() {
      const { width, height, factor } = current().dataset;
      const [w, h] = [Number(width), Number(height)];
      const [W, H] = [stage.clientWidth, stage.clientHeight];
      const scale = Math.min(W / w, H / h) * now.zoom;
      const hold = (centre, size, room) =>
        size <= room ? 0.5 : clamp(centre, room / 2 / size, 1 - room / 2 / size);
      now.x = hold(now.x, w * scale, W);
      now.y = hold(now.y, h * scale, H);
      const [left, top] = [W / 2 - now.x * w * scale, H / 2 - now.y * h * scale];
      // The divider moves over the part of the picture that can be seen.
      const low = Math.max(0, left);
      const line = low + now.split * (Math.min(W, left + w * scale) - low);
      return { w, h, W, H, scale, left, top, low, line, perPixel: scale / Number(factor) };
    }

    function draw() {
      const { w, h, W, scale, left, top, low, line, perPixel } = layout();
      for (const view of all(".view")) view.hidden = view.dataset.view !== now.view;
      const view = current();
      view.style.width = `${w}px`;
      view.style.height = `${h}px`;
      view.style.transform = `translate(${left}px, ${top}px) scale(${scale})`;
      view.classList.toggle("sharp", scale >= 1.5);
      const edge = clamp((line - left) / scale, 0, w);
      for (const layer of view.querySelectorAll(".layer")) {
        const name = layer.dataset.layer;
        layer.hidden = name !== now.mode && !(splits() && name === "clean");
        layer.style.zIndex = name === "noisy" ? 1 : 0;
        layer.style.clipPath = name === "noisy" && splits() ? `inset(0 ${w - edge}px 0 0)` : "none";
      }
      for (const key of all(".key"))
        key.hidden = key.dataset.view !== now.view || key.dataset.layer !== now.mode;
      for (const note of all(".note")) note.hidden = note.dataset.view !== now.view;
      for (const part of all(".divider, .corner")) part.hidden = !splits();
      if (compared) {
        divider.style.left = `${line}px`;
        range.value = now.split * 100;
        find(".split").style.visibility = splits() ? "visible" : "hidden";
      }
      for (const corner of all(".corner")) corner.style.margin = `0 ${low}px`;
      if (frame) drawFrame(left, top, perPixel);
      stage.classList.toggle("zoomed", now.zoom > 1);
      stage.classList.toggle("splits", splits());
      find(".percent").textContent = `${Math.round(perPixel * 100)} %`;
      find('[data-zoom="out"]').disabled = now.zoom <= 1;
      find('[data-zoom="in"]').disabled = now.zoom >= MOST_ZOOM;
      drawBar(perPixel, W);
    }

    // Where the detail lies in the whole picture.
    function drawFrame(left, top, perPixel) {
      frame.hidden = now.view !== "whole";
      const [x, y, width, height] = ["x", "y", "width", "height"].map(
        (name) => Number(frame.dataset[name]) * perPixel,
      );
      Object.assign(frame.style, { left: `${left + x}px`, top: `${top + y}px` });
      Object.assign(frame.style, { width: `${width}px`, height: `${height}px` });
    }

    function drawBar(perPixel, room) {
      const pixel = Number(root.dataset.pixel);
      const bar = find(".bar");
      bar.hidden = !(pixel > 0);
      if (bar.hidden) return;
      const length = roundLength((Math.min(room, 900) * 0.25 * pixel) / perPixel);
      bar.querySelector("i").style.width = `${(length / pixel) * perPixel}px`;
      bar.querySelector("b").textContent = `${Number(length.toPrecision(3))} ${root.dataset.unit}`;
    }

    // As high as the picture needs, but never higher than the window.
    function resize() {
      const { width, height } = current().dataset;
      const [w, h] = [Number(width), Number(height)];
      const wanted = Math.min((stage.clientWidth * h) / w, h * 24);
      stage.style.height = `${clamp(wanted, 150, Math.max(300, window.innerHeight * 0.8))}px`;
      draw();
    }

    // Zoom so that the place (px, py) of the stage stays where it is.
    function zoomTo(zoom, px = stage.clientWidth / 2, py = stage.clientHeight / 2) {
      const { w, h, W, H, scale, left, top } = layout();
      const [u, v] = [(px - left) / (w * scale), (py - top) / (h * scale)];
      const next = clamp(zoom, 1, MOST_ZOOM);
      const grown = (scale / now.zoom) * next;
      now.zoom = next;
      now.x = u - (px - W / 2) / (w * grown);
      now.y = v - (py - H / 2) / (h * grown);
      draw();
    }

    function pan(dx, dy) {
      const { w, h, scale } = layout();
      now.x -= dx / (w * scale);
      now.y -= dy / (h * scale);
      draw();
    }

    function splitAt(share) {
      now.split = clamp(share, 0, 1);
      draw();
    }

    function splitAtPlace(px) {
      const { W, w, scale, left, low } = layout();
      splitAt((px - low) / (Math.min(W, left + w * scale) - low));
    }

    function press(buttons, chosen) {
      for (const button of buttons) button.setAttribute("aria-pressed", String(button === chosen));
    }

    for (const button of all("[data-mode]"))
      button.addEventListener("click", () => {
        now.mode = button.dataset.mode;
        press(all("[data-mode]"), button);
        draw();
      });
    for (const button of all("[data-show]"))
      button.addEventListener("click", () => {
        Object.assign(now, { view: button.dataset.show, zoom: 1, x: 0.5, y: 0.5 });
        press(all("[data-show]"), button);
        resize();
      });
    const zooms = { in: () => now.zoom * 1.5, out: () => now.zoom / 1.5, fit: () => 1 };
    for (const button of all("[data-zoom]"))
      button.addEventListener("click", () => zoomTo(zooms[button.dataset.zoom]()));
    if (compared) range.addEventListener("input", () => splitAt(range.value / 100));

    // Pointers: the handle always moves the divider; elsewhere a drag moves the divider while all
    // of the picture is visible, and the picture once it is zoomed; two fingers zoom.
    const pointers = new Map();
    let drags = "";
    const place = (event) => {
      const box = stage.getBoundingClientRect();
      return { x: event.clientX - box.left, y: event.clientY - box.top };
    };
    stage.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      stage.setPointerCapture(event.pointerId);
      pointers.set(event.pointerId, place(event));
      const onHandle = event.target.classList.contains("handle");
      drags = splits() && (onHandle || now.zoom === 1) ? "split" : "pan";
      stage.classList.toggle("pans", drags === "pan" && now.zoom > 1);
    });
    stage.addEventListener("pointermove", (event) => {
      const old = pointers.get(event.pointerId);
      if (!old) return;
      const here = place(event);
      if (pointers.size === 2) {
        const [other] = [...pointers].filter(([id]) => id !== event.pointerId).map(([, p]) => p);
        const reach = (p) => Math.hypot(p.x - other.x, p.y - other.y) || 1;
        const [mx, my] = [(here.x + other.x) / 2, (here.y + other.y) / 2];
        zoomTo((now.zoom * reach(here)) / reach(old), mx, my);
        pan((here.x - old.x) / 2, (here.y - old.y) / 2);
      } else if (drags === "split") splitAtPlace(here.x);
      else pan(here.x - old.x, here.y - old.y);
      pointers.set(event.pointerId, here);
    });
    const release = (event) => {
      pointers.delete(event.pointerId);
      if (pointers.size) drags = "pan";
      stage.classList.remove("pans");
    };
    stage.addEventListener("pointerup", (event) => {
      const single = pointers.size === 1 && drags === "split";
      if (single && pointers.has(event.pointerId)) splitAtPlace(place(event).x);
      release(event);
    });
    stage.addEventListener("pointercancel", release);

    // The wheel scrolls the page until the picture was chosen, so that nobody gets stuck in it.
    stage.addEventListener(
      "wheel",
      (event) => {
        if (!event.ctrlKey && !event.metaKey && document.activeElement !== stage) return;
        if (event.deltaY > 0 && now.zoom === 1) return;
        event.preventDefault();
        const lines = event.deltaMode === 1 ? 16 : 1;
        const { x, y } = place(event);
        zoomTo(now.zoom * Math.exp(-clamp(event.deltaY * lines, -120, 120) * 0.002), x, y);
      },
      { passive: false },
    );

    const steps = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    stage.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const { key } = event;
      if (key === "+" || key === "=") zoomTo(zooms.in());
      else if (key === "-" || key === "_") zoomTo(zooms.out());
      else if (key === "0") zoomTo(1);
      else if (key in steps && now.zoom > 1) pan(...steps[key].map((s) => s * 60));
      else if (key in steps && steps[key][0] && splits()) splitAt(now.split - steps[key][0] * 0.02);
      else return;
      event.preventDefault();
    });

    root.classList.add("live");
    let width = -1;
    new ResizeObserver(() => {
      if (stage.clientWidth === width) return;
      width = stage.clientWidth;
      resize();
    }).observe(stage);
    resize();
  }

  for (const root of document.querySelectorAll(".viewer")) slider(root);
})();
