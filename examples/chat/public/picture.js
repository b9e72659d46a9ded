// From a file somebody chose to a picture the server accepts: the type, the size, and a smaller copy when it is too large.
// Knows nothing of sockets or of the page.

export const MAX_PICTURE_BYTES = 512 * 1024;
export const PICTURE_TYPES = ["image/png", "image/jpeg", "image/gif", "image/webp"];

/** The reason is a sentence for the person who chose the file. */
export class PictureError extends Error {}

/** Resolves to `{ name, type, data: ArrayBuffer }`, rejects with PictureError. */
export async function preparePicture(file) {
  if (!PICTURE_TYPES.includes(file.type)) {
    throw new PictureError("Only PNG, JPEG, GIF and WebP pictures can be sent.");
  }
  if (file.size > MAX_SOURCE_BYTES) {
    throw new PictureError("That picture is very large. Choose one below 30 MB.");
  }
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    throw new PictureError("This browser cannot read that picture. The file may be damaged.");
  }
  try {
    const blob = file.size <= MAX_PICTURE_BYTES ? file : await smaller(file, bitmap);
    return { name: shortName(file.name), type: blob.type, data: await blob.arrayBuffer() };
  } finally {
    bitmap.close();
  }
}

async function smaller(file, bitmap) {
  if (file.type === "image/gif") {
    throw new PictureError("An animated picture can have at most 512 KB.");
  }
  for (const side of [1920, 1440, 1080, 720]) {
    const scale = Math.min(1, side / Math.max(bitmap.width, bitmap.height));
    const canvas = document.createElement("canvas");
    canvas.width = Math.max(1, Math.round(bitmap.width * scale));
    canvas.height = Math.max(1, Math.round(bitmap.height * scale));
    const context = canvas.getContext("2d");
    context.fillStyle = "#fff"; // JPEG has no transparency
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.84));
    if (blob && blob.size <= MAX_PICTURE_BYTES) return blob;
  }
  throw new PictureError("That picture is too large. It can have at most 512 KB.");
}

function shortName(name) {
  return [...(name || "picture")].slice(0, 100).join("");
}

// Beyond this, decoding alone can use up the memory of a phone.
const MAX_SOURCE_BYTES = 30 * 1024 * 1024;
