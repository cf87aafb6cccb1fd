// Draws the pictures of the README: `node screens.mjs` after ./run has built the binary. Two people with drawn faces
// hold a call, go on air and are watched; home, stage and watch are photographed into docs/screens/.
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Person } from './harness/browser.mjs';
import { becomes } from './harness/poll.mjs';
import { framesOf } from './harness/probe.mjs';
import { newFolder, removeFolder, Server } from './harness/server.mjs';

const SCREENS = path.resolve(import.meta.dirname, '../docs/screens');
const PEOPLE = [
  { name: 'Amara', hz: 440, wall: ['#7b5a50', '#38241f'], shirt: '#8a3d30', skin: '#8d5b40', hair: '#17110e' },
  { name: 'Jonas', hz: 880, wall: ['#4d7464', '#1d332b'], shirt: '#1f5f49', skin: '#efc6a3', hair: '#9d602a' },
];

/** A face as SVG, in the manner of the design's placeholders. */
const face = ({ wall, shirt, skin, hair }) => `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1280 720" width="1280" height="720">
  <defs><linearGradient id="w" x1="0" y1="0" x2="1" y2="1"><stop offset="0" stop-color="${wall[0]}"/><stop offset="1" stop-color="${wall[1]}"/></linearGradient></defs>
  <rect width="1280" height="720" fill="url(#w)"/>
  <path d="M380 720c10-150 110-210 260-210s250 60 260 210z" fill="${shirt}"/>
  <rect x="580" y="430" width="120" height="130" rx="50" fill="${skin}"/>
  <ellipse cx="640" cy="310" rx="128" ry="160" fill="${skin}"/>
  <path d="M508 330c-20-150 50-220 140-220s150 60 128 210c-30-60-60-80-110-90-60 40-120 40-158 100z" fill="${hair}"/>
</svg>`;

/** A fake camera's file that shows the face and breathes a little, so that every frame is another one. */
async function film(page, who, folder) {
  const still = path.join(folder, `${who.name}.png`);
  await page.setContent(`<body style="margin:0">${face(who)}</body>`);
  await page.screenshot({ path: still });
  const file = path.join(folder, `${who.name}.mjpeg`);
  const breath = "zoompan=z='1.02+0.02*sin(on/20)':x='iw/2-iw/zoom/2':y='ih/2-ih/zoom/2':d=126:s=1280x720:fps=20";
  execFileSync('ffmpeg', ['-v', 'error', '-y', '-i', still, '-vf', breath, '-c:v', 'mjpeg', '-pix_fmt', 'yuvj420p', '-q:v', '3', file]);
  return file;
}

const folder = newFolder('screens');
const painter = await Person.open({ name: 'painter', viewport: { width: 1280, height: 720 } });
const films = [];
for (const who of PEOPLE) films.push(await film(painter.page, who, folder));
await painter.close();

const server = await Server.start({ dataDir: path.join(folder, 'data') });
const people = [];
try {
  mkdirSync(SCREENS, { recursive: true });
  const shoot = async (person, name) => {
    const file = path.join(folder, `${name}-large.png`);
    writeFileSync(file, await person.page.screenshot());
    execFileSync('ffmpeg', ['-v', 'error', '-y', '-i', file, '-vf', 'split[a][b];[a]palettegen=max_colors=200[p];[b][p]paletteuse', path.join(SCREENS, `${name}.png`)]);
  };
  for (const [index, who] of PEOPLE.entries()) {
    const person = await Person.open({ name: who.name, camera: films[index], hz: who.hz, viewport: { width: 1440, height: 900 } });
    people.push(person);
    await person.join(server.url, 'town-hall');
  }
  const [amara, jonas] = people;
  await becomes('Amara sees Jonas', () => framesOf(amara.picture('Jonas')), (frames) => frames.shown > 20);
  await jonas.press('mute-button');
  await amara.goLive();
  await amara.see('on-air').waitFor();
  const viewer = await Person.open({ name: 'viewer', viewport: { width: 1440, height: 900 } });
  people.push(viewer);
  await viewer.watch(server.url, 'town-hall');
  await becomes('the audience sees the stage', () => framesOf(viewer.see('player')), (frames) => frames.shown > 100);
  await amara.press('people-button');
  await becomes('the seconds are known', () => amara.see('seconds-behind').textContent(), (text) => /\d/.test(text));
  await shoot(amara, 'stage');
  await viewer.page.mouse.move(700, 500);
  await shoot(viewer, 'watch');
  await viewer.open(server.url);
  await viewer.see('live-list').waitFor();
  await becomes('the room is listed', () => viewer.see('live-list').textContent(), (text) => /town-hall/.test(text));
  await shoot(viewer, 'home');
} finally {
  for (const person of people) await person.close();
  await server.stop();
  removeFolder(folder);
}
