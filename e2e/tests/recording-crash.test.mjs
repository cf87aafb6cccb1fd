// The power fails while a recording runs.
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { becomes, eventually, pause } from '../harness/poll.mjs';
import { colourOf, framesOf } from '../harness/probe.mjs';
import { decodeErrors, probeFile } from '../harness/recording.mjs';
import { scenario } from '../harness/scenario.mjs';
import { newFolder, removeFolder } from '../harness/server.mjs';
import { admin } from '../harness/token.mjs';

/**
 * How much of the end may be missing, in seconds, of picture and of sound, while the same two cores run the browsers that
 * encode. What the manual promises, half a second, is measured by `bench kills`; amphi/tests/shell/killed.rs asks a second of a
 * quarter of fifty files.
 */
const LOST_MAX = 1;

scenario('a recording that is killed plays without repair to shortly before the kill, and is listed afterwards', async (stage) => {
  const dataDir = newFolder('data');
  stage.closing.push(() => removeFolder(dataDir));
  const first = await stage.server({ dataDir });
  const red = await stage.person({ name: 'Rosa Red', colour: 'red', hz: 440 });
  await red.join(first.url, 'vault');
  const started = await eventually('the API accepts the recording', async () => {
    const { status, body } = await first.api('POST', '/api/rooms/vault/recording', { token: admin('vault') });
    return status === 200 && body;
  });
  const listed = async (server) => (await server.api('GET', '/api/recordings')).body.recordings;
  await becomes('eight seconds are recorded', () => listed(first), ([recording]) => recording?.duration_s >= 8, { within: 40_000 });
  // At any moment of a part, not just after one was written.
  await pause(Math.random() * 334);
  const killedAt = (await first.kill()) / 1000;

  const [file] = readdirSync(dataDir, { recursive: true }).filter((name) => name.endsWith('program.mp4'));
  assert.ok(file, 'the recording is in the data folder');
  const { video, audio, spans } = probeFile(path.join(dataDir, file));
  assert.equal(video.codec_name, 'h264');
  assert.equal(audio.codec_name, 'aac');
  assert.deepEqual(decodeErrors(path.join(dataDir, file)), []);

  const second = await stage.server({ dataDir });
  const [recording] = await becomes('it is listed as ready', () => listed(second), ([one]) => one?.state === 'ready').then(({ value }) => value);
  assert.equal(recording.id, started.id);
  const lost = (end) => killedAt - (Date.parse(recording.started) / 1000 + end);
  const has = JSON.stringify(spans);
  for (const [what, span] of Object.entries(spans)) {
    const seconds = lost(span.to);
    assert.ok(seconds <= LOST_MAX, `${seconds.toFixed(2)} s of ${what} are lost (most: ${LOST_MAX} s; ${has})`);
  }

  const viewer = await stage.person({ name: 'Viewer' });
  await viewer.open(`${second.url}/recording/${recording.id}`);
  await viewer.see('player').evaluate((video) => video.play());
  await becomes('it plays in the page', () => colourOf(viewer.see('player')), (colour) => colour === 'red');
  await eventually('and goes on', async () => (await framesOf(viewer.see('player'))).shown > 30);
});
