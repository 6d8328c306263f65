"use strict";
// What must run in the browser: theme, uploads, copying. All else is done by the server.

const THEMES = ["system", "light", "dark"];

function applyTheme(theme) {
  const scheme = theme === "light" || theme === "dark" ? theme : "light dark";
  document.documentElement.style.colorScheme = scheme;
  for (const button of document.querySelectorAll("button.theme")) {
    button.textContent = `Theme: ${theme}`;
  }
}

function storedTheme() {
  const theme = window.localStorage.getItem("unnoise-theme");
  return THEMES.includes(theme) ? theme : "system";
}

applyTheme(storedTheme());
new MutationObserver(() => {
  const button = document.querySelector("button.theme");
  if (button && button.textContent === "Theme") applyTheme(storedTheme());
}).observe(document.documentElement, { childList: true, subtree: true });

async function copy(button) {
  const text = button.parentElement.querySelector("pre").textContent;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = document.createElement("textarea"); // pages without https have no clipboard
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
    button.focus();
  }
  button.textContent = "Copied";
  setTimeout(() => (button.textContent = "Copy"), 2000);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.matches(".copy")) copy(button);
  if (button.matches(".theme")) {
    const next = THEMES[(THEMES.indexOf(storedTheme()) + 1) % THEMES.length];
    window.localStorage.setItem("unnoise-theme", next);
    applyTheme(next);
  }
  if (button.matches(".cancel-uploads")) {
    for (const request of running) request.abort();
  }
});

// Uploads: the file itself is the body of the request, so nobody holds it in memory.
const running = new Set();

function sizeOf(bytes) {
  return bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

function upload(file, tell) {
  return new Promise((resolve) => {
    const request = new XMLHttpRequest();
    running.add(request);
    request.open("POST", `/upload?name=${encodeURIComponent(file.name)}`);
    request.upload.onprogress = (event) => tell(event.loaded);
    request.onloadend = () => {
      running.delete(request);
      let answer = {};
      try {
        answer = JSON.parse(request.responseText);
      } catch {
        answer = { problem: request.status ? "the server refused the file" : "the upload was cancelled, or the connection broke" };
      }
      resolve(answer);
    };
    request.send(file);
  });
}

async function uploadAll(zone, files) {
  const status = zone.querySelector(".status");
  const bar = zone.querySelector("progress");
  const limit = Number(zone.dataset.limit);
  const total = files.reduce((sum, file) => sum + file.size, 0);
  const places = [];
  const problems = [];
  let before = 0;
  zone.classList.add("busy");
  for (const file of files) {
    const tell = (done) => {
      bar.value = total ? (before + done) / total : 1;
      status.textContent = `Uploading ${file.name}: ${sizeOf(done)} of ${sizeOf(file.size)}`;
    };
    tell(0);
    let answer;
    if (file.size > limit) {
      answer = { problem: `the file is above the limit of ${sizeOf(limit)}; put it into the workspace on the server` };
    } else {
      answer = await upload(file, tell);
    }
    before += file.size;
    if (answer.name) places.push(answer.name);
    else problems.push(`${file.name}: ${answer.problem}`);
  }
  zone.classList.remove("busy");
  status.textContent = problems.join("\n");
  status.classList.toggle("bad", problems.length > 0);
  if (places.length && !problems.length) {
    window.location.href = `/image?${places.map((p) => `place=${encodeURIComponent(p)}`).join("&")}`;
  } else if (places.length) {
    const link = document.createElement("a");
    link.href = `/image?${places.map((p) => `place=${encodeURIComponent(p)}`).join("&")}`;
    link.textContent = " Go on with the others.";
    status.append(link);
  }
}

document.addEventListener("change", (event) => {
  const zone = event.target.closest(".drop");
  if (zone && event.target.type === "file" && event.target.files.length) {
    uploadAll(zone, [...event.target.files]).finally(() => (event.target.value = ""));
  }
});

for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    const zone = document.querySelector(".drop");
    if (!zone || ![...event.dataTransfer.types].includes("Files")) return;
    event.preventDefault();
    zone.classList.toggle("over", kind === "dragover");
    if (kind !== "drop") return;
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.());
    if (entries.some((entry) => entry?.isDirectory)) {
      const status = zone.querySelector(".status");
      status.textContent = "A folder cannot be dropped; drop its files, an OME-Zarr as image.ome.zarr.zip, or put it into the workspace on the server.";
      status.classList.add("bad");
      return;
    }
    uploadAll(zone, [...event.dataTransfer.files]);
  });
}
