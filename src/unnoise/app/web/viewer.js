// The picture part of the page: modes, sliders, channels, scale bar, and the canvas in the middle.
// Plain elements of HTML, so that keyboard and screen readers work as everywhere.

import TileCanvas from "tile_canvas";

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const MODES = {
  compare: "Compare",
  noisy: "Noisy",
  clean: "Clean",
  residual: "Residual",
  uncertainty: "Uncertainty",
};
const KEYS = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
const NAMES = { S: "Image", T: "Time", Z: "Slice" };

// An element with attributes, and what is in it.
function element(name, attributes = {}, ...inside) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== false && value !== undefined) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...inside);
  return made;
}

// A round length (1, 2 or 5 times a power of ten) of at most `longest`.
function roundLength(longest) {
  const power = 10 ** Math.floor(Math.log10(longest));
  return [5, 2, 1].map((m) => m * power).find((length) => length <= longest) || power;
}

const short = (value) => {
  if (value === null) return "no value";
  return (Number.isSafeInteger(value) ? value : Number(value.toPrecision(5))).toString();
};

class Viewer {
  constructor(root, { noisy, clean, uncertainty, base, label }) {
    Object.assign(this, { root, base, names: { noisy, clean, uncertainty }, label });
    this.state = { mode: clean ? "compare" : "noisy", S: 0, T: 0, Z: 0, high: {} };
    this.build();
    this.open().catch((error) => this.tell(error.message));
  }

  async json(path) {
    const answer = await fetch(`${this.base}/${path}`);
    const found = await answer.json().catch(() => ({}));
    if (answer.ok) return found;
    throw new Error(typeof found.detail === "string" ? found.detail : `the server says ${answer.status}`);
  }

  async open() {
    this.about = {};
    const names = Object.entries(this.names).filter(([, name]) => name);
    this.lasting = "";
    const get = async ([key, name]) => (this.about[key] = await this.json(name));
    await Promise.all(names.map((one) => get(one).catch((error) => {
      if (one[0] === "noisy") throw error; // the others are shown beside it
      this.lasting = `${MODES[one[0]]}: ${error.message}`;
    })));
    const { noisy, clean, uncertainty } = this.about;
    const isAlike = (one) => one && "STCZYX".split("").every((k) => one.sizes[k] === noisy.sizes[k]);
    if (clean && !isAlike(clean)) this.lasting = "The result has another size, so it is not shown beside.";
    this.modes = Object.keys(MODES).filter((mode) => {
      if (mode === "noisy") return true;
      return mode === "uncertainty" ? isAlike(uncertainty) : isAlike(clean);
    });
    if (!this.modes.includes(this.state.mode)) this.state.mode = "noisy";
    // Noise would stretch the limits and flatten the structure, so those of the result hold for both.
    this.shown = (isAlike(clean) ? clean : noisy).channels.map((one, i, all) => ({ ...one, on: i < 4 || all.length < 8 }));
    for (const k of "STZ") this.state[k] = Math.floor(noisy.sizes[k] / 2);
    this.limitsOf = isAlike(clean) ? this.names.clean : this.names.noisy;
    this.buildModes();
    this.buildPlanes();
    this.buildChannels();
    this.update();
  }

  build() {
    const id = (this.id = `viewer-${Math.random().toString(36).slice(2)}`);
    const button = (text, label, pressed) =>
      element("button", { type: "button", "aria-label": label, title: label, onclick: pressed }, text);
    this.canvas = element("canvas");
    this.divider = element(
      "div",
      {
        class: "divider", role: "slider", tabindex: 0, hidden: true, "aria-orientation": "horizontal",
        "aria-label": "Where the noisy image ends and the clean one begins", "aria-valuemin": 0, "aria-valuemax": 100,
        onkeydown: (event) => this.dividerKey(event),
      },
      element("span", { "aria-hidden": "true" }),
    );
    this.corners = ["Noisy", "Clean"].map((text) => element("span", { class: `corner ${text.toLowerCase()}`, hidden: true }, text));
    this.bar = element("div", { class: "bar", hidden: true }, element("i"), element("b"));
    this.message = element("p", { class: "message", role: "status" });
    this.stage = element(
      "div",
      { class: "stage", tabindex: 0, role: "application", "aria-label": this.label || "Image", "aria-describedby": `${id}-keys` },
      this.canvas, ...this.corners, this.divider, this.bar,
    );
    this.percent = element("output", { class: "percent" });
    this.readout = element("p", { class: "readout" }, "\u00a0");
    this.modesBox = element("div", { class: "modes", role: "group", "aria-label": "What is shown" });
    this.planes = element("div", { class: "planes" });
    this.channels = element("div", { class: "channels" });
    const zooms = element(
      "div",
      { class: "zooms", role: "group", "aria-label": "Zoom" },
      button("−", "Zoom out", () => this.tiles.zoomTo(this.tiles.view.zoom / 1.5)),
      this.percent,
      button("+", "Zoom in", () => this.tiles.zoomTo(this.tiles.view.zoom * 1.5)),
      button("Fit", "Show all of the image", () => this.tiles.fit()),
      button("1:1", "One screen pixel for each pixel of the image", () => this.actual()),
    );
    const keys = element("p", { class: "keys", id: `${id}-keys` }, "Keys in the image: arrows move, + and − zoom, 0 shows all, Page Up and Page Down change the slice. The mouse wheel zooms once the image was clicked.");
    this.root.classList.add("viewer");
    this.root.append(element("div", { class: "tools" }, this.modesBox, zooms), this.stage, this.readout, this.message, this.planes, this.channels, keys);
    this.tiles = new TileCanvas(this.canvas, (now) => this.changed(now));
    this.listen();
  }

  buildModes() {
    const one = (mode) =>
      element("button", { type: "button", "data-mode": mode, onclick: () => this.setMode(mode) }, MODES[mode]);
    this.modesBox.replaceChildren(...(this.modes.length > 1 ? this.modes.map(one) : []));
    this.modesBox.hidden = this.modes.length < 2;
  }

  buildPlanes() {
    const { sizes } = this.about.noisy;
    const one = (letter) => {
      const input = element("input", { type: "range", min: 1, max: sizes[letter], value: this.state[letter] + 1, "data-axis": letter });
      const count = element("output", {});
      const tell = () => (count.value = `${this.state[letter] + 1} of ${sizes[letter]}`);
      input.addEventListener("input", () => {
        this.state[letter] = input.value - 1;
        tell();
        this.update();
      });
      tell();
      return element("label", {}, element("span", {}, NAMES[letter]), input, count);
    };
    this.planes.replaceChildren(..."TZS".split("").filter((k) => sizes[k] > 1).map(one));
  }

  buildChannels() {
    const number = (shown, key, label) => {
      const input = element("input", { type: "number", step: "any", value: short(shown[key]), "aria-label": this.shown.length > 1 ? `${label} of ${shown.name}` : label, "data-limit": key });
      input.addEventListener("change", () => {
        const value = Number(input.value);
        const fits = input.value !== "" && (key === "low" ? value < shown.high : value > shown.low);
        if (fits) shown[key] = value;
        input.value = short(shown[key]);
        this.update();
      });
      return input;
    };
    const one = (shown) => {
      const on = element("input", { type: "checkbox", checked: shown.on });
      on.addEventListener("change", () => { shown.on = on.checked; this.update(); });
      const color = element("input", { type: "color", value: `#${shown.color}`, "aria-label": `Colour of ${shown.name}` });
      color.addEventListener("input", () => { shown.color = color.value.slice(1); this.update(); });
      const name = element("label", { class: "name" }, on, element("span", {}, shown.name));
      return element("div", { class: "channel", role: "group", "aria-label": shown.name }, ...(this.shown.length > 1 ? [name] : []), color, number(shown, "low", "Black value"), element("span", {}, "to"), number(shown, "high", "White value"));
    };
    const percentile = (key, text, value) => {
      const input = element("input", { type: "number", min: 0, max: 100, step: 0.1, value, "data-percentile": key });
      input.addEventListener("change", () => this.setPercentiles());
      return element("label", {}, `${text} at percentile`, input);
    };
    this.percentiles = element("div", { class: "percentiles" }, percentile("low", "Black", 0.1), percentile("high", "White", 99.9));
    const wasOpen = this.channels.querySelector("details")?.open ?? (this.shown.length > 1 && !this.about.noisy.rgb);
    this.channels.replaceChildren(element("details", { open: wasOpen }, element("summary", {}, this.shown.length > 1 ? "Channels and brightness" : "Brightness"), ...this.shown.map(one), this.percentiles));
  }

  async setPercentiles() {
    const [low, high] = [...this.percentiles.querySelectorAll("input")].map((input) => clamp(Number(input.value) || 0, 0, 100));
    try {
      const found = await this.json(`${this.limitsOf}/limits?low=${low}&high=${high}`);
      for (const shown of this.shown) [shown.low, shown.high] = found[shown.channel];
      for (const key of ["low", "high"])
        this.channels.querySelectorAll(`[data-limit=${key}]`).forEach((input, i) => (input.value = short(this.shown[i][key])));
      this.update();
    } catch (error) {
      this.tell(error.message);
    }
  }

  async setMode(mode) {
    this.state.mode = mode;
    this.update();
  }

  // Which pictures are to be seen, in which colours.
  async update() {
    const { mode } = this.state;
    for (const button of this.modesBox.children) button.setAttribute("aria-pressed", String(button.dataset.mode === mode));
    for (const part of [this.divider, ...this.corners]) part.hidden = mode !== "compare";
    const kind = { residual: "noisy", uncertainty: "uncertainty" }[mode];
    if (kind && !(mode in this.state.high)) {
      const other = mode === "residual" ? `?other=${this.names.clean}` : "";
      this.state.high[mode] = await this.json(`${this.names[kind]}/high${other}`).catch(() => 1);
      if (this.state.mode !== mode) return;
    }
    const layers = { compare: [this.layer("noisy", "left"), this.layer("clean", "right")], noisy: [this.layer("noisy")], clean: [this.layer("clean")] };
    this.tiles.setLayers((layers[mode] || [this.layer(kind, "", mode)]).filter(Boolean));
    if (mode === "residual") this.tell(`Noisy minus clean: blue below zero, red above, up to ${short(this.state.high.residual)}.`);
    else if (mode === "uncertainty") this.tell(`Standard deviation of the result, bright from ${short(this.state.high.uncertainty)} on.`);
    else this.tell(this.lasting);
    this.moveDivider(this.tiles.split);
  }

  layer(source, side = "", mode = "plain") {
    const about = this.about[source];
    if (!about) return null;
    const { S, T, Z, high } = this.state;
    const query = new URLSearchParams({ v: about.version, s: S, t: T, z: Z });
    if (mode === "plain") {
      for (const one of this.shown) if (one.on) query.append("c", `${one.channel}:${one.low}:${one.high}:${one.color}`);
      if (!query.has("c")) query.append("c", `${this.shown[0].channel}:0:1:000000`);
    } else {
      query.set("mode", mode);
      query.set("high", high[mode]);
      if (mode === "residual") query.set("other", this.names.clean);
    }
    const key = `${this.base}/${this.names[source]}/tile|${query}`;
    const url = (level, x, y) => `${this.base}/${this.names[source]}/tile/${level}/${x}/${y}?${query}`;
    const { sizes, levels, tile } = about;
    return { key, url, side, width: sizes.X, height: sizes.Y, levels, tile };
  }

  // After every change of the view.
  changed({ zoom, whole, share, busy, problem }) {
    if (!this.about?.noisy) return;
    this.stage.classList.toggle("zoomed", !whole);
    this.percent.value = `${Math.round(zoom * 1000) / 10} %`;
    this.stage.setAttribute("aria-busy", String(busy));
    if (problem) this.tell(problem, true);
    else if (share < 1) this.tell(`An overview is being made: ${Math.floor(share * 100)} %`, true);
    else if (this.passing) this.tell(this.lasting);
    const { pixel, unit } = this.about.noisy;
    this.bar.hidden = !(pixel > 0);
    if (this.bar.hidden) return;
    const length = roundLength(((Math.min(this.tiles.room.wide, 800) * 0.25) / zoom) * pixel);
    this.bar.firstChild.style.width = `${(length / pixel) * zoom}px`;
    this.bar.lastChild.textContent = `${Number(length.toPrecision(3))} ${unit}`;
  }

  tell(text, passing = false) {
    this.passing = passing;
    if (this.message.textContent !== text) this.message.textContent = text;
  }

  actual() {
    this.tiles.zoomTo(1 / (window.devicePixelRatio || 1));
  }

  moveDivider(share) {
    this.tiles.split = clamp(share, 0, 1);
    this.divider.style.left = `${this.tiles.split * 100}%`;
    this.divider.setAttribute("aria-valuenow", Math.round(this.tiles.split * 100));
    this.tiles.show();
  }

  dividerKey(event) {
    const step = { ArrowLeft: -0.02, ArrowDown: -0.02, ArrowRight: 0.02, ArrowUp: 0.02, PageDown: -0.2, PageUp: 0.2, Home: -1, End: 1 }[event.key];
    if (!step) return;
    this.moveDivider(this.tiles.split + step);
    event.preventDefault();
    event.stopPropagation();
  }

  listen() {
    const { stage, tiles } = this;
    const place = (event) => {
      const box = this.canvas.getBoundingClientRect();
      return { x: event.clientX - box.left, y: event.clientY - box.top };
    };
    const pointers = new Map();
    let drags = "";
    stage.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      stage.setPointerCapture(event.pointerId);
      pointers.set(event.pointerId, place(event));
      drags = this.divider.contains(event.target) ? "divider" : "image";
    });
    stage.addEventListener("pointermove", (event) => {
      const here = place(event);
      const old = pointers.get(event.pointerId);
      this.readValue(here);
      if (!old) return;
      if (pointers.size === 2) {
        const [other] = [...pointers].filter(([id]) => id !== event.pointerId).map(([, p]) => p);
        const reach = (p) => Math.hypot(p.x - other.x, p.y - other.y) || 1;
        tiles.zoomTo((tiles.view.zoom * reach(here)) / reach(old), (here.x + other.x) / 2, (here.y + other.y) / 2);
        tiles.pan((here.x - old.x) / 2, (here.y - old.y) / 2);
      } else if (drags === "divider") this.moveDivider(here.x / tiles.room.wide);
      else tiles.pan(here.x - old.x, here.y - old.y);
      pointers.set(event.pointerId, here);
    });
    for (const name of ["pointerup", "pointercancel"])
      stage.addEventListener(name, (event) => pointers.delete(event.pointerId));
    stage.addEventListener("pointerleave", () => (this.readout.textContent = "\u00a0"));
    stage.addEventListener("dblclick", (event) => {
      const { x, y } = place(event);
      tiles.zoomTo(tiles.view.zoom * 2, x, y);
    });
    // The wheel scrolls the page until the image was clicked, so that nobody gets stuck in it.
    stage.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey && !stage.contains(document.activeElement)) return;
      event.preventDefault();
      const lines = event.deltaMode === 1 ? 16 : 1;
      const { x, y } = place(event);
      tiles.zoomTo(tiles.view.zoom * Math.exp(-clamp(event.deltaY * lines, -120, 120) * 0.002), x, y);
    }, { passive: false });
    stage.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const far = event.shiftKey ? 300 : 60;
      const turn = { PageUp: 1, PageDown: -1 }[event.key];
      if (event.key === "+" || event.key === "=") tiles.zoomTo(tiles.view.zoom * 1.5);
      else if (event.key === "-" || event.key === "_") tiles.zoomTo(tiles.view.zoom / 1.5);
      else if (event.key === "0") tiles.fit();
      else if (event.key === "1") this.actual();
      else if (event.key in KEYS) tiles.pan(...KEYS[event.key].map((step) => step * far));
      else if (turn && this.planes.firstChild) this.turn(turn);
      else return;
      event.preventDefault();
      this.readValue({ x: tiles.room.wide / 2, y: tiles.room.tall / 2 });
    });
  }

  // The next slice, or frame where there is one slice.
  turn(step) {
    const input = this.planes.querySelector("[data-axis=Z]") || this.planes.querySelector("input");
    input.value = Number(input.value) + step;
    input.dispatchEvent(new Event("input"));
  }

  // The pixels under the pointer; asked for at most ten times a second.
  readValue({ x: px, y: py }) {
    if (!this.about?.noisy) return;
    const { X, Y } = this.about.noisy.sizes;
    const at = this.tiles.imagePlace(px, py);
    const [x, y] = [Math.floor(at.x), Math.floor(at.y)];
    if (x < 0 || y < 0 || x >= X || y >= Y) return;
    this.place = { x, y };
    if (!this.reading) this.reading = this.readPlace().finally(() => (this.reading = null));
  }

  async readPlace() {
    this.readout.setAttribute("aria-busy", "true");
    let at;
    do {
      await new Promise((go) => setTimeout(go, 100));
      at = this.place;
      const { S, T, Z, mode } = this.state;
      const sources = { compare: ["noisy", "clean"], residual: ["noisy", "clean"] }[mode] || [mode];
      const texts = await Promise.all(sources.map(async (name) => {
        const found = await this.json(`${this.names[name]}/value?x=${at.x}&y=${at.y}&s=${S}&t=${T}&z=${Z}`).catch(() => []);
        return `${MODES[name].toLowerCase()} ${found.map(short).join(", ")}`;
      }));
      this.readout.textContent = `x ${at.x}, y ${at.y}: ${texts.join("; ")}`;
    } while (at !== this.place);
    this.readout.setAttribute("aria-busy", "false");
  }
}

export default {
  template: `<div></div>`,
  props: { sources: Object, base: String, label: String },
  mounted() {
    this.start();
  },
  watch: {
    sources(now, before) {
      if (JSON.stringify(now) !== JSON.stringify(before)) this.start();
    },
  },
  unmounted() {
    this.viewer?.tiles.close();
  },
  methods: {
    start() {
      this.viewer?.tiles.close();
      this.$el.replaceChildren();
      this.viewer = new Viewer(this.$el, { ...this.sources, base: this.base, label: this.label });
    },
  },
};
