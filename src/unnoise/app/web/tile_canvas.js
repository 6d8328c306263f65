// Pictures out of tiles on a canvas: zoom, pan, and what is loaded when. It knows no page around it.
//
// A layer is {key, url(level, x, y), width, height, levels, tile, side}, where `side` is "left" or
// "right" of the divider, or nothing. Level k has a pixel for every 2^k x 2^k pixels of the image.
// Another key means another picture; until its tiles are there, those of the one before are shown.

const KEPT = 400; // tiles, 100 MB of the browser
const AT_ONCE = 6; // requests; the server drops those that are taken back
const AGAIN = 700; // ms until a tile is asked for again that is not exact yet
const RETRY = 4000; // ms until a server is asked again that had no answer
const MOST = 32; // CSS pixels per image pixel
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

export default class TileCanvas {
  constructor(canvas, changed) {
    Object.assign(this, { canvas, changed, layers: [], split: 0.5, shares: new Map() });
    this.context = canvas.getContext("2d", { alpha: false });
    this.tiles = new Map(); // address -> {bitmap, share}; the last used one comes last
    this.loading = new Map(); // address -> AbortController
    this.failed = new Map(); // address -> {message, until}, what the server said
    this.view = { x: 0, y: 0, zoom: 0 }; // the image pixel in the middle; CSS pixels per image pixel
    this.whole = true; // shown as large as it fits
    this.observer = new ResizeObserver(() => (this.whole ? this.fit() : this.show()));
    this.observer.observe(canvas);
  }

  close() {
    this.observer.disconnect();
    for (const request of this.loading.values()) request.abort();
    for (const { bitmap } of this.tiles.values()) bitmap.close();
    this.layers = [];
    clearTimeout(this.later);
  }

  get size() {
    const { width = 1, height = 1 } = this.layers[0] || {};
    return { width, height };
  }

  get room() {
    return { wide: this.canvas.clientWidth, tall: this.canvas.clientHeight };
  }

  get fitting() {
    const { width, height } = this.size;
    return Math.min(this.room.wide / width, this.room.tall / height, MOST) || 1;
  }

  // Other pictures, which take the places of those before.
  setLayers(layers) {
    const before = this.layers;
    const isOther = before.length && (before[0].width !== layers[0]?.width || before[0].height !== layers[0]?.height);
    this.layers = layers.map((layer, i) => {
      const old = before.find((one) => one.key === layer.key);
      if (old) return Object.assign(layer, { under: old.under });
      const under = before[Math.min(i, before.length - 1)];
      return Object.assign(layer, { under: isOther ? null : under && { ...under, under: null } });
    });
    this.failed.clear();
    if (!before.length || isOther || this.whole) this.fit();
    else this.show();
  }

  fit() {
    const { width, height } = this.size;
    this.view = { x: width / 2, y: height / 2, zoom: this.fitting };
    this.whole = true;
    this.show();
  }

  // Zoom so that a place of the canvas (CSS pixels) keeps its image pixel.
  zoomTo(zoom, px = this.room.wide / 2, py = this.room.tall / 2) {
    const place = this.imagePlace(px, py);
    const next = clamp(zoom, this.fitting, MOST);
    this.whole = next <= this.fitting * 1.001;
    if (this.whole) return this.fit();
    this.view.zoom = next;
    this.view.x = place.x - (px - this.room.wide / 2) / next;
    this.view.y = place.y - (py - this.room.tall / 2) / next;
    return this.show();
  }

  pan(dx, dy) {
    this.view.x -= dx / this.view.zoom;
    this.view.y -= dy / this.view.zoom;
    this.show();
  }

  // The image pixel (with fractions) at a place of the canvas.
  imagePlace(px, py) {
    const { x, y, zoom } = this.view;
    return { x: x + (px - this.room.wide / 2) / zoom, y: y + (py - this.room.tall / 2) / zoom };
  }

  show() {
    const { width, height } = this.size;
    const { wide, tall } = this.room;
    const hold = (at, size, room) =>
      size <= room ? size / 2 : clamp(at, room / 2, size - room / 2);
    this.view.x = hold(this.view.x, width, wide / this.view.zoom);
    this.view.y = hold(this.view.y, height, tall / this.view.zoom);
    this.ask();
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.draw();
    });
  }

  // The level with at least about one pixel for each of the screen.
  level(layer) {
    const sharp = this.view.zoom * (window.devicePixelRatio || 1);
    return clamp(Math.floor(Math.log2(1 / sharp) + 0.2), 0, layer.levels - 1);
  }

  // The tiles of a level that can be seen, those in the middle first.
  seen(layer, level) {
    const side = layer.tile * 2 ** level;
    const from = this.imagePlace(0, 0);
    const to = this.imagePlace(this.room.wide, this.room.tall);
    if (layer.side === "left") to.x = this.imagePlace(this.split * this.room.wide, 0).x;
    if (layer.side === "right") from.x = this.imagePlace(this.split * this.room.wide, 0).x;
    const low = (at) => Math.max(Math.floor(at / side), 0);
    const high = (at, size) => Math.min(Math.ceil(at / side), Math.ceil(size / side));
    const found = [];
    for (let y = low(from.y); y < high(to.y, layer.height); y++)
      for (let x = low(from.x); x < high(to.x, layer.width); x++) found.push({ level, x, y });
    const far = ({ x, y }) => Math.hypot((x + 0.5) * side - this.view.x, (y + 0.5) * side - this.view.y);
    return found.sort((a, b) => far(a) - far(b));
  }

  // Ask for what is missing, and take back what is not needed any longer.
  ask() {
    const wanted = [];
    for (const layer of this.layers) {
      if (!this.room.wide) continue;
      const tiles = this.seen(layer, this.level(layer));
      for (const { level, x, y } of tiles) wanted.push(layer.url(level, x, y));
      if (tiles.length) wanted.unshift(layer.url(layer.levels - 1, 0, 0)); // a picture at once
    }
    const needed = new Set(wanted);
    const now = performance.now();
    for (const [address, { until }] of this.failed) if (until < now) this.failed.delete(address);
    for (const [address, request] of this.loading)
      if (!needed.has(address)) {
        request.abort();
        this.loading.delete(address);
      }
    for (const address of needed) {
      if (this.loading.size >= AT_ONCE) break;
      const tile = this.tiles.get(address);
      const isDone = tile && (tile.share === 1 || now - tile.time < AGAIN);
      if (!isDone && !this.loading.has(address) && !this.failed.has(address)) this.load(address);
    }
    this.wanted = needed;
    const found = wanted.map((address) => this.tiles.get(address));
    const share = Math.min(1, ...found.map((tile) => tile?.share ?? 1));
    const busy = found.some((tile, i) => !tile && !this.failed.has(wanted[i]));
    const isOver = (tile, i) => tile || this.failed.get(wanted[i])?.until === Infinity;
    if (found.every(isOver)) for (const layer of this.layers) layer.under = null;
    clearTimeout(this.later);
    if (share < 1) this.later = setTimeout(() => this.show(), AGAIN);
    else if (this.failed.size) this.later = setTimeout(() => this.show(), RETRY);
    const [problem] = this.failed.values();
    this.changed({ ...this.view, whole: this.whole, share, busy, problem: problem?.message });
  }

  async load(address) {
    const request = new AbortController();
    this.loading.set(address, request);
    try {
      const answer = await fetch(address, { signal: request.signal });
      if (!answer.ok) {
        const { detail } = await answer.json().catch(() => ({}));
        const message = typeof detail === "string" ? detail : `the server says ${answer.status}`;
        throw Object.assign(new Error(message), { isFinal: answer.status < 500 });
      }
      const share = Number(answer.headers.get("X-Share") ?? 1);
      const bitmap = await createImageBitmap(await answer.blob());
      this.tiles.get(address)?.bitmap.close();
      this.tiles.delete(address);
      this.tiles.set(address, { bitmap, share, time: performance.now() });
      for (const [old, { bitmap: gone }] of this.tiles) {
        if (this.tiles.size <= KEPT) break;
        if (this.wanted.has(old)) continue;
        gone.close();
        this.tiles.delete(old);
      }
    } catch (error) {
      if (request.signal.aborted) return;
      const until = error.isFinal ? Infinity : performance.now() + RETRY - 100;
      const message = error instanceof TypeError ? "The server cannot be reached." : error.message;
      this.failed.set(address, { message, until });
    }
    this.loading.delete(address);
    this.show();
  }

  draw() {
    const { canvas, context } = this;
    const { wide, tall } = this.room;
    const sharp = window.devicePixelRatio || 1;
    const size = [Math.round(wide * sharp), Math.round(tall * sharp)];
    if (canvas.width !== size[0] || canvas.height !== size[1]) [canvas.width, canvas.height] = size;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = "#15181b";
    context.fillRect(0, 0, ...size);
    const scale = this.view.zoom * sharp;
    context.setTransform(scale, 0, 0, scale, size[0] / 2 - this.view.x * scale, size[1] / 2 - this.view.y * scale);
    const divider = this.imagePlace(this.split * wide, 0).x;
    for (const layer of this.layers) {
      context.save();
      context.beginPath();
      const left = layer.side === "right" ? clamp(divider, 0, layer.width) : 0;
      const right = layer.side === "left" ? clamp(divider, 0, layer.width) : layer.width;
      context.rect(left, 0, right - left, layer.height);
      context.clip();
      if (layer.under) this.drawTiles({ ...layer.under, side: layer.side }, scale);
      this.drawTiles(layer, scale);
      context.restore();
    }
  }

  // What is there, coarse levels below fine ones.
  drawTiles(layer, scale) {
    for (let level = layer.levels - 1; level >= this.level(layer); level--) {
      const side = layer.tile * 2 ** level;
      this.context.imageSmoothingEnabled = scale * 2 ** level < 2;
      for (const { x, y } of this.seen(layer, level)) {
        const tile = this.tiles.get(layer.url(level, x, y));
        if (!tile) continue;
        const { width, height } = tile.bitmap;
        this.context.drawImage(tile.bitmap, x * side, y * side, width * 2 ** level, height * 2 ** level);
      }
    }
  }
}
