// Looking for a moment in a broadcast: what the seek bar shows is what was on air then.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { changingCamera } from '../harness/media.mjs';
import { becomes, eventually } from '../harness/poll.mjs';
import { colourOf } from '../harness/probe.mjs';
import { scenario } from '../harness/scenario.mjs';
import { newFolder, removeFolder } from '../harness/server.mjs';
import { admin } from '../harness/token.mjs';

const HLS = readFileSync(path.resolve(import.meta.dirname, '../../web/node_modules/hls.js/dist/hls.min.js'), 'utf8');
/** Screenshots go there, for whoever wants to look at them. */
const { SHOTS } = process.env;

/** A broadcast of a camera that sees another colour every seven seconds, with a thumbnail every five. */
async function onAir(stage, room) {
  const folder = newFolder('config');
  stage.closing.push(() => removeFolder(folder));
  const config = path.join(folder, 'amphi.toml');
  writeFileSync(config, '[broadcast]\nthumbnails = "5s"\n');
  const server = await stage.server({ args: ['--config', config] });
  const camera = changingCamera(['red', 'green', 'blue'], 7);
  const person = await stage.person({ name: 'Cleo Colours', camera, hz: 440 });
  await person.join(server.url, room);
  const on = { token: admin(room), body: { program: 'cut' } };
  // As soon as somebody is on stage.
  await eventually('it goes on air', async () => (await server.api('POST', `/api/rooms/${room}/broadcast`, on)).status === 200);
  return server;
}

/** Points at a place of the seek bar, from 0 to 1, and reads what is shown for it. */
async function pointAt(viewer, share) {
  const box = await viewer.page.getByTestId('seek-bar').boundingBox();
  await viewer.page.mouse.move(box.x + box.width * share, box.y + box.height / 2);
  const image = viewer.page.getByTestId('seek-thumbnail');
  await eventually(`a thumbnail at ${share}`, () => image.evaluate((one) => one.complete && one.naturalWidth > 0));
  return { at: Number(await image.getAttribute('data-at')), colour: await colourOf(image) };
}

async function photograph(viewer, name) {
  if (!SHOTS) return;
  mkdirSync(SHOTS, { recursive: true });
  await viewer.page.screenshot({ path: path.join(SHOTS, `${name}.png`) });
}

scenario(
  'the seek bar shows a thumbnail of the second that it is pointed at, to the mouse and to the keyboard',
  async (stage) => {
    const server = await onAir(stage, 'colours');
    // A player that shares nothing with the page says what was on air when.
    const witness = await stage.person({ name: 'Witness' });
    await witness.open(`${server.url}/healthz`);
    await witness.page.evaluate(HLS);
    await eventually('it is on air', async () => (await server.api('GET', '/api/rooms/colours')).body.broadcast.state === 'on_air');
    await witness.page.evaluate(async (index) => {
      const video = Object.assign(document.createElement('video'), { muted: true, width: 640 });
      document.body.append(video);
      window.hls = new window.Hls({ enableWorker: false });
      window.hls.loadSource(index);
      window.hls.attachMedia(video);
      await video.play();
    }, `${server.url}/hls/colours/index.m3u8`);
    const video = witness.page.locator('video');

    const viewer = await stage.person({ name: 'Viewer' });
    await viewer.watch(server.url, 'colours');
    await eventually('half a minute has been on air', async () => Number(await viewer.page.getByTestId('seek-bar').getAttribute('max')) > 32, { within: 60_000 });

    const seen = new Map();
    for (const share of [0.1, 0.3, 0.5, 0.7, 0.9]) {
      const { at, colour } = await pointAt(viewer, share);
      seen.set(at, colour);
      if (share === 0.5) await photograph(viewer, 'desktop-dark');
    }
    assert.ok(seen.size >= 4, `four moments: ${[...seen]}`);
    assert.ok(new Set(seen.values()).size >= 2 && !seen.has(NaN), `several colours: ${[...seen]}`);

    const place = await video.evaluate((element) => {
      element.pause();
      return window.hls.playingDate.getTime() - element.currentTime * 1000;
    });
    for (const [at, colour] of seen) {
      // In the middle of the frame whose time it is: 20 frames a second.
      await video.evaluate((element, to) => (element.currentTime = to), (at - place) / 1000 + 0.02);
      await becomes(
        `at ${at} was on air what the thumbnail shows`,
        async () => [await video.evaluate((element) => !element.seeking && element.readyState >= 2), await colourOf(video)],
        ([ready, shown]) => ready && shown === colour,
        { within: 10_000 },
      );
    }

    await viewer.page.mouse.move(5, 5);
    await eventually('away with the mouse, away with it', async () => (await viewer.page.getByTestId('seek-thumbnail').count()) === 0);
    await viewer.page.getByTestId('play-button').focus();
    await viewer.page.keyboard.press('Shift+Tab');
    for (const _ of [1, 2]) await viewer.page.keyboard.press('ArrowLeft');
    await viewer.page.getByTestId('seek-thumbnail').waitFor();
    await viewer.page.keyboard.press('Tab');
    await eventually('it leaves with the focus', async () => (await viewer.page.getByTestId('seek-thumbnail').count()) === 0);
  },
  { deadline: 180_000 },
);

scenario(
  'on a phone a finger on the seek bar sees thumbnails, and in another page too',
  async (stage) => {
    const server = await onAir(stage, 'pocket');
    const viewer = await stage.person({ name: 'Viewer', phone: true, viewport: { width: 390, height: 844 }, colorScheme: 'light' });
    await viewer.watch(server.url, 'pocket');
    const bar = viewer.page.getByTestId('seek-bar');
    await eventually('some seconds have been on air', async () => Number(await bar.getAttribute('max')) > 12, { within: 60_000 });
    await viewer.page.mouse.move(200, 150);
    const box = await bar.boundingBox();
    const touch = await viewer.page.context().newCDPSession(viewer.page);
    const finger = (type, share) =>
      touch.send('Input.dispatchTouchEvent', {
        type,
        touchPoints: type === 'touchEnd' ? [] : [{ x: box.x + box.width * share, y: box.y + box.height / 2 }],
      });
    await finger('touchStart', 0.5);
    for (const share of [0.45, 0.4, 0.35]) await finger('touchMove', share);
    const image = viewer.page.getByTestId('seek-thumbnail');
    await eventually('a thumbnail', () => image.evaluate((one) => one.complete && one.naturalWidth > 0));
    const [shown, player] = [await image.boundingBox(), await viewer.page.getByTestId('player').boundingBox()];
    assert.ok(shown.x >= player.x && shown.x + shown.width <= player.x + player.width && shown.y >= player.y, 'it is within the picture');
    await photograph(viewer, 'phone-light');
    await finger('touchEnd', 0.35);
    await eventually('it leaves with the finger', async () => (await image.count()) === 0);
    const badge = viewer.page.getByTestId('live-badge');
    await eventually('and the player has gone back', async () => (await badge.getAttribute('data-live')) === 'false');

    const guest = await stage.person({ name: 'Guest' });
    await guest.open(`${server.url}/embed/pocket`);
    await eventually('it plays', async () => Number(await guest.page.getByTestId('seek-bar').getAttribute('max')) > 12);
    assert.notEqual((await pointAt(guest, 0.4)).colour, 'none');
    await photograph(guest, 'embed-dark');
  },
  { deadline: 120_000 },
);
