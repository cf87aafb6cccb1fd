// The sound of a broadcast in Opus, played by hls.js as it comes from npm.
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { servePages } from '../harness/files.mjs';
import { becomes, eventually } from '../harness/poll.mjs';
import { colourOf, framesOf, tonesOf } from '../harness/probe.mjs';
import { scenario } from '../harness/scenario.mjs';
import { newFolder, removeFolder } from '../harness/server.mjs';

const E2E = path.resolve(import.meta.dirname, '..');
const ROOM = 'in-opus';

scenario('a broadcast is heard in Opus by a player that asks for it, and in AAC by any other', async (stage) => {
  const folder = newFolder('config');
  stage.closing.push(() => removeFolder(folder));
  const config = path.join(folder, 'amphi.toml');
  writeFileSync(config, '[broadcast]\nopus = true\n');
  const server = await stage.server({ args: ['--config', config] });
  const red = await stage.person({ name: 'Rosa Red', colour: 'red', hz: 440 });
  await red.join(server.url, ROOM);
  await red.goLive('cut');
  await red.see('on-air').waitFor();
  const url = `${server.url}/hls/${ROOM}/index.m3u8`;
  await becomes('it is listed', async () => (await fetch(url)).text(), (index) => /CODECS="avc1.*,opus"/.test(index));

  const site = await servePages({
    '/': { file: path.join(E2E, 'pages/hls.html') },
    '/hls.mjs': { file: path.join(E2E, '../web/node_modules/hls.js/dist/hls.mjs') },
  });
  stage.closing.push(() => site.close());
  for (const codec of ['opus', 'mp4a.40.2']) {
    const viewer = await stage.person({ name: `Viewer ${codec}` });
    await viewer.open(`${site.url}/#${new URLSearchParams({ url, codec })}`);
    const player = viewer.see('player');
    await becomes(`the sound is ${codec}`, () => viewer.see('sound').textContent(), (said) => said === codec);
    await becomes('the picture is red', () => colourOf(player), (colour) => colour === 'red');
    await becomes('440 Hz is heard', () => tonesOf(player, [440, 880]), (tones) => tones.join() === '440');
    const { shown } = await framesOf(player);
    await eventually('it goes on', async () => (await framesOf(player)).shown > shown + 100);
  }

  // The page of the house names each quality once.
  const viewer = await stage.person({ name: 'Viewer' });
  await viewer.watch(server.url, ROOM);
  await becomes('the audience sees red', () => colourOf(viewer.see('player')), (colour) => colour === 'red');
  const names = () => viewer.see('quality-select').locator('option').allTextContents();
  await becomes('each quality has one name', names, (all) => all.length >= 2 && new Set(all).size === all.length);
});
