// Going back in a broadcast, with hls.js as any page would use it.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { becomes, eventually } from '../harness/poll.mjs';
import { colourOf, framesOf } from '../harness/probe.mjs';
import { scenario } from '../harness/scenario.mjs';
import { admin } from '../harness/token.mjs';

const HLS = readFileSync(path.resolve(import.meta.dirname, '../../web/node_modules/hls.js/dist/hls.min.js'), 'utf8');

scenario(
  'a viewer goes back to the beginning of a broadcast, and forth to the live edge again',
  async (stage) => {
    const server = await stage.server();
    const red = await stage.person({ name: 'Rosa Red', colour: 'red', hz: 440 });
    const green = await stage.person({ name: 'Gil Green', colour: 'green', hz: 880 });
    await red.join(server.url, 'evening-show');
    await green.join(server.url, 'evening-show');
    await green.press('mute-button');
    const on = await server.api('POST', '/api/rooms/evening-show/broadcast', {
      token: admin('evening-show'),
      body: { program: 'cut' },
    });
    assert.equal(on.status, 200);

    const viewer = await stage.person({ name: 'Viewer' });
    const asked = [];
    viewer.page.on('request', (request) => asked.push(request.url()));
    await viewer.open(`${server.url}/healthz`);
    await viewer.page.evaluate(HLS);
    const play = async (index) => {
      const video = Object.assign(document.createElement('video'), { muted: true, width: 640 });
      document.body.append(video);
      const hls = new window.Hls({ enableWorker: false, lowLatencyMode: true, backBufferLength: 4 });
      window.seen = { hls, fatal: [] };
      hls.on(window.Hls.Events.ERROR, (_, error) => error.fatal && window.seen.fatal.push(error.details));
      hls.loadSource(index);
      hls.attachMedia(video);
      await video.play();
    };
    await viewer.page.evaluate(play, `${server.url}/hls/evening-show/index.m3u8`);
    const video = viewer.page.locator('video');
    await becomes('red is on air', () => colourOf(video), (colour) => colour === 'red');
    const time = () => video.evaluate((element) => element.currentTime);
    await eventually('for twenty seconds', async () => (await time()) > 20, { within: 60_000 });
    await green.press('mute-button');
    await red.press('mute-button');
    await becomes('green is on air', () => colourOf(video), (colour) => colour === 'green');
    const cut = await time();
    // Until the beginning is neither in the browser's memory nor in the server's.
    await eventually('for half a minute', async () => (await time()) > cut + 27, { within: 60_000 });

    const window_s = await video.evaluate(({ seekable }) => seekable.end(0) - seekable.start(0));
    assert.ok(window_s > 46, `all of ${window_s} s can be sought in`);
    const live = await time();
    await video.evaluate((element) => (element.currentTime = element.seekable.start(0) + 0.5));
    await becomes('what was shown then is shown', () => colourOf(video), (colour) => colour === 'red');
    const { shown } = await framesOf(video);
    await eventually('it plays on from there', async () => (await framesOf(video)).shown > shown + 60);
    assert.ok((await time()) < live - 30, 'and stays behind');
    await video.evaluate((element) => (element.currentTime = window.seen.hls.liveSyncPosition));
    await becomes('the live edge is green', () => colourOf(video), (colour) => colour === 'green');
    await eventually('and goes on', async () => (await time()) > live + 5);

    assert.deepEqual(await viewer.page.evaluate(() => window.seen.fatal), []);
    assert.ok(asked.filter((url) => url.includes('_HLS_skip=YES')).length > 10, 'it asks for delta updates');
    // Of whichever rung the machine's load let it choose.
    const old = asked.filter((url) => /\/v\d+(r\d)?-[0-2]\.m4s/.test(url));
    assert.ok(old.length > 0, `and for whole segments of the beginning: ${asked.slice(-20).join(" ")}`);
  },
  { deadline: 180_000 },
);
