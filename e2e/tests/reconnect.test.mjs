// The way between a page and the server breaks, or the server goes away.
import assert from 'node:assert/strict';
import { becomes, eventually, pause } from '../harness/poll.mjs';
import { colourOf, framesOf, tonesOf } from '../harness/probe.mjs';
import { Proxy } from '../harness/proxy.mjs';
import { scenario } from '../harness/scenario.mjs';
import { admin } from '../harness/token.mjs';

const TONES = [440, 880];

scenario('a member whose socket is cut says so, comes back by herself, and is seen and heard as before', async (stage) => {
  const server = await stage.server();
  const way = await Proxy.start(server.url);
  stage.closing.push(() => way.close());
  const red = await stage.person({ name: 'Rosa Red', colour: 'red', hz: 440 });
  const green = await stage.person({ name: 'Gil Green', colour: 'green', hz: 880 });
  await red.join(way.url, 'bridge');
  await green.join(server.url, 'bridge');
  await becomes('Gil sees red', () => colourOf(green.picture('Rosa Red')), (colour) => colour === 'red');
  await becomes('Rosa sees green', () => colourOf(red.picture('Gil Green')), (colour) => colour === 'green');
  const identity = await green.tile('Rosa Red').getAttribute('data-identity');

  for (const time of ['first', 'second']) {
    const sockets = way.upgrades.length;
    way.cut();
    await red.see('reconnecting').waitFor();
    assert.equal(await green.tile('Rosa Red').count(), 1, 'the others do not see her go');
    // Long enough that a first try at coming back fails too.
    await pause(1_500);
    way.mend();
    await eventually(`she comes back the ${time} time`, () => way.upgrades.length > sockets);
    await eventually('the banner goes', async () => !(await red.see('reconnecting').isVisible()));
    const before = (await framesOf(green.picture('Rosa Red'))).shown;
    await eventually('Gil sees her move', async () => (await framesOf(green.picture('Rosa Red'))).shown > before + 20);
    await becomes('in red', () => colourOf(green.picture('Rosa Red')), (colour) => colour === 'red');
    await becomes('Rosa sees green', () => colourOf(red.picture('Gil Green')), (colour) => colour === 'green');
    await becomes('Gil hears 440 Hz', () => tonesOf(green.sound(), TONES), (tones) => tones.join() === '440');
    await becomes('Rosa hears 880 Hz', () => tonesOf(red.sound(), TONES), (tones) => tones.join() === '880');
  }
  assert.equal(await green.tile('Rosa Red').getAttribute('data-identity'), identity);

  // What she says over the new socket arrives.
  await red.press('mute-button');
  await becomes('a muted Rosa is not heard', () => tonesOf(green.sound(), TONES), (tones) => tones.length === 0);
});

scenario('a server that is stopped closes its recording and lets its members come back to the next one', async (stage) => {
  const first = await stage.server();
  const way = await Proxy.start(first.url);
  stage.closing.push(() => way.close());
  const red = await stage.person({ name: 'Rosa Red', colour: 'red', hz: 440 });
  const green = await stage.person({ name: 'Gil Green', colour: 'green', hz: 880 });
  await red.join(way.url, 'bridge');
  await green.join(way.url, 'bridge');
  await becomes('Gil sees red', () => colourOf(green.picture('Rosa Red')), (colour) => colour === 'red');
  await eventually('the API accepts the recording', async () =>
    (await first.api('POST', '/api/rooms/bridge/recording', { token: admin('bridge') })).status === 200);
  const recordings = async (server) => (await server.api('GET', '/api/recordings')).body.recordings;
  await becomes('something is recorded', () => recordings(first), ([recording]) => recording?.duration_s >= 3, { within: 30_000 });

  await first.stop();
  const second = await stage.server({ dataDir: first.dataDir });
  way.target = second.url;
  await becomes('the recording is ready', () => recordings(second), ([recording]) => recording?.state === 'ready' && recording.duration_s >= 2);
  const names = async () => (await second.api('GET', '/api/rooms/bridge')).body.members.map(({ name }) => name).sort().join();
  await becomes('both are in the room of the next server', names, (text) => text === 'Gil Green,Rosa Red', { within: 45_000 });
  await becomes('Gil sees red again', () => colourOf(green.picture('Rosa Red')), (colour) => colour === 'red', { within: 30_000 });
  await becomes('Rosa sees green again', () => colourOf(red.picture('Gil Green')), (colour) => colour === 'green');
  await becomes('Rosa hears 880 Hz again', () => tonesOf(red.sound(), TONES), (tones) => tones.join() === '880');
});
