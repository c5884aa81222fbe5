// Looks after the canvas beside it: hides its toolbar, names it for screen readers, hands pasted pictures to the
// uploader. The canvas lives in an open shadow root that may be mounted later than this, and again at any rerun.

const HIDE_TOOLBAR = ".dc-toolbar { display: none !important; } canvas { touch-action: none; }";

function canvasRoot() {
  for (const host of document.querySelectorAll(".st-key-pad *")) {
    if (host.shadowRoot?.querySelector(".dc-root")) return host.shadowRoot;
  }
  return null;
}

function tend() {
  const root = canvasRoot();
  if (!root || root.querySelector("style.pad-guard")) return;
  const style = document.createElement("style");
  style.className = "pad-guard";
  style.textContent = HIDE_TOOLBAR;
  root.append(style);
  const canvas = root.querySelector("canvas.upper-canvas");
  canvas?.setAttribute("role", "img");
  canvas?.setAttribute("aria-label", "Drawing pad: draw a digit with mouse, pen or finger");
}

function paste(event) {
  const picture = [...(event.clipboardData?.files ?? [])].find((file) => file.type.startsWith("image/"));
  const uploader = document.querySelector(".st-key-upload input[type=file]");
  if (!picture || !uploader) return;
  event.preventDefault();
  const files = new DataTransfer();
  files.items.add(picture);
  uploader.files = files.files;
  uploader.dispatchEvent(new Event("change", { bubbles: true }));
}

export default function () {
  tend();
  const watcher = new MutationObserver(tend);
  watcher.observe(document.querySelector(".st-key-pad") ?? document.body, { childList: true, subtree: true });
  document.addEventListener("paste", paste);
  return () => {
    watcher.disconnect();
    document.removeEventListener("paste", paste);
  };
}
