// Glass to glass: how long after the camera saw it the audience sees it. `node glass.mjs` after the binary was built
// (`AMPHI_BIN` names it; a release build is what counts). A number is burnt into a fake camera; it is read from the
// publisher's own preview and from the watch page, each time with the machine's clock.
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { Person } from './harness/browser.mjs';
import { eventually, pause } from './harness/poll.mjs';
import { newFolder, removeFolder, Server } from './harness/server.mjs';

const SECONDS = Number(process.argv[2] ?? 30);
const BITS = 10;

/** Columns that are bright where a bit of the picture's number is set, and below them the same the other way round. */
function numbered(folder) {
  const file = path.join(folder, 'numbers.mjpeg');
  const bit = `mod(floor(N/pow(2\\,floor(X*${BITS}/W)))\\,2)`;
  const luma = `if(lt(Y\\,H/2)\\,${bit}\\,1-${bit})*200+28`;
  const film = `nullsrc=s=640x360:r=30:d=${2 ** BITS / 30},geq=lum='${luma}':cb=128:cr=128`;
  execFileSync('ffmpeg', ['-v', 'error', '-y', '-f', 'lavfi', '-i', film, '-c:v', 'mjpeg', '-pix_fmt', 'yuvj420p', '-q:v', '3', file]);
  return file;
}

/** Writes down when each number is seen for the first time in a while. */
function note(video, bits) {
  const canvas = new OffscreenCanvas(160, 90);
  const context = canvas.getContext('2d', { willReadFrequently: true });
  window.noted = [];
  let last = -1;
  const look = () => {
    const at = performance.timeOrigin + performance.now();
    context.drawImage(video, 0, 0, canvas.width, canvas.height);
    const bright = (bit, down) => context.getImageData(((bit + 0.5) * canvas.width) / bits, down * canvas.height, 1, 1).data[0] > 127;
    const all = Array.from({ length: bits }, (_, bit) => bit);
    const sure = all.every((bit) => bright(bit, 0.3) !== bright(bit, 0.7));
    const number = all.reduce((sum, bit) => sum + (bright(bit, 0.3) ? 2 ** bit : 0), 0);
    if (sure && number !== last) window.noted.push([number, at]);
    if (sure) last = number;
    video.requestVideoFrameCallback(look);
  };
  video.requestVideoFrameCallback(look);
}

/** Writes down when the player ran dry, from the beginning, in seconds since the page was there. */
function noteStalls() {
  window.stalls = [];
  document.addEventListener('waiting', () => window.stalls.push((performance.now() / 1000).toFixed(1)), true);
}

/** How long after each number of `shown` it was `seen`, in seconds, sorted. */
function delays(shown, seen) {
  const found = seen.map(([number, at]) => {
    const before = shown.filter(([other, when]) => other === number && when <= at && at - when < 15_000);
    return before.length > 0 ? (at - before.at(-1)[1]) / 1000 : undefined;
  });
  return found.filter((delay) => delay !== undefined).sort((a, b) => a - b);
}

async function measure(program, camera, dataDir) {
  const server = await Server.start({ dataDir });
  const host = await Person.open({ name: 'Host', camera, hz: 440 });
  const viewer = await Person.open({ name: 'Viewer' });
  try {
    await host.join(server.url, 'glass');
    await host.goLive(program);
    await host.see('on-air').waitFor();
    await viewer.context.addInitScript(noteStalls);
    await viewer.watch(server.url, 'glass');
    const [mine, theirs] = [host.picture('Host'), viewer.see('player')];
    await eventually('the audience has a picture', () => theirs.evaluate((video) => video.currentTime > 1));
    // A player comes nearer to the live edge for some seconds after it began.
    await pause(15_000);
    await mine.evaluate(note, BITS);
    await theirs.evaluate(note, BITS);
    await pause(SECONDS * 1000);
    const noted = (person) => person.page.evaluate(() => window.noted);
    const found = delays(await noted(host), await noted(viewer));
    if (found.length < SECONDS * 5) throw new Error(`only ${found.length} numbers were read`);
    const at = (share) => found[Math.round((found.length - 1) * share)].toFixed(2);
    const stalls = await viewer.page.evaluate(() => window.stalls);
    const ran = `ran dry after ${stalls.join(' s, ') || '–'} s`;
    console.log(`| glass to glass, ${program}: ${found.length} pictures | p50 ${at(0.5)} s, p95 ${at(0.95)} s, most ${at(1)} s | ${ran} |`);
  } finally {
    await host.close();
    await viewer.close();
    await server.stop();
  }
}

const folder = newFolder('glass');
try {
  const camera = numbered(folder);
  for (const program of ['cut', 'compose']) await measure(program, camera, path.join(folder, program));
} finally {
  removeFolder(folder);
}
