// Other people's programs beside our pages: LiveKit's Python SDK and livekit-client, by one connection and by two.
import assert from 'node:assert/strict';
import { becomes } from '../harness/poll.mjs';
import { colourOf, tonesOf } from '../harness/probe.mjs';
import { Proxy } from '../harness/proxy.mjs';
import { PythonMember } from '../harness/python.mjs';
import { joinBySdk, pictureOf, serveSdk, soundOf } from '../harness/sdk.mjs';
import { scenario } from '../harness/scenario.mjs';
import { token, tokenFromCommandLine } from '../harness/token.mjs';

const TONES = [440, 660, 880];

/** The picture of one member whom we only know by identity, on our own stage. */
const tileOf = (person, identity) =>
  person.page.locator(`[data-testid="tile"][data-identity="${identity}"][data-source="camera"] video`);

/** Everybody sees and hears everybody: Rosa by our page, Gil by livekit-client, Bruno (blue, 660 Hz) by Python. */
async function threeMeet(stage, { gil, bruno }) {
  const server = await stage.server();
  const way = await Proxy.start(server.url, { missing: bruno.missing });
  stage.closing.push(() => way.close());
  const site = await serveSdk();
  stage.closing.push(() => site.close());

  const rosa = await stage.person({ name: 'Rosa Red', colour: 'red', hz: 440 });
  await rosa.join(server.url, 'guests');
  const [{ identity: rosaIdentity }] = (await server.api('GET', '/api/rooms/guests')).body.members;
  const green = await stage.person({ name: 'Gil Green', colour: 'green', hz: 880 });
  await joinBySdk(green, { site, url: server.url, token: token({ room: 'guests', identity: 'gil' }), ...gil });
  const paper = tokenFromCommandLine('--room', 'guests', '--identity', 'bruno', '--name', 'Bruno Blue');
  const blue = PythonMember.start({
    url: way.url,
    token: paper,
    colour: 'blue',
    hz: 660,
    codec: bruno.codec,
    connections: bruno.connections,
    subscribe: bruno.subscribe,
  });
  stage.closing.push(() => blue.leave());
  await allSeeAndHear({ way, rosa, rosaIdentity, green, blue, path: bruno.path }).catch(async (error) => {
    error.message += `\nBruno told at last:\n${await blue.story()}`;
    throw error;
  });
}

async function allSeeAndHear({ way, rosa, rosaIdentity, green, blue, path }) {
  await blue.tells('Bruno joins', ({ event }) => event === 'joined');
  assert.deepEqual([...new Set(way.upgrades)], [path]);
  await blue.tells('Bruno shows and sounds', ({ event }) => event === 'published');

  for (const [person, picture, sound, others] of [
    [rosa, tileOf, (who, identity) => who.sound(identity), { gil: ['green', 880], bruno: ['blue', 660] }],
    [green, pictureOf, soundOf, { [rosaIdentity]: ['red', 440], bruno: ['blue', 660] }],
  ]) {
    for (const [identity, [colour, hz]] of Object.entries(others)) {
      await becomes(`${person.name} sees ${identity} in ${colour}`, () => colourOf(picture(person, identity)), (seen) => seen === colour, { within: 30_000 });
      await becomes(`${person.name} hears ${identity}`, () => tonesOf(sound(person, identity), TONES), (tones) => tones.join() === `${hz}`);
    }
  }
  for (const [identity, colour, hz] of [[rosaIdentity, 'red', 440], ['gil', 'green', 880]]) {
    await blue.tells(`Bruno sees ${identity}`, (told) => told.event === 'picture' && told.of === identity && told.colour === colour);
    await blue.tells(`Bruno hears ${identity}`, (told) => told.event === 'tone' && told.of === identity && Math.abs(told.hz - hz) < 12);
  }

  await green.press('say');
  await blue.tells('Bruno gets the page\'s words', ({ event, of, text }) => event === 'data' && of === 'gil' && text === 'hello from a page');
  blue.do({ do: 'say', text: 'hello from Python' });
  await becomes('the page gets Bruno\'s words', () => green.see('words').textContent(), (words) => words === 'bruno: hello from Python');

  blue.do({ do: 'leave' });
  await blue.tells('Bruno leaves', ({ event }) => event === 'ended');
  assert.deepEqual(await blue.ended, { code: 0, signal: null });
  await becomes('his tile goes', () => tileOf(rosa, 'bruno').count(), (count) => count === 0);
}

// By one connection Bruno subscribes when his camera is on its way, because his SDK may go blind otherwise, whatever the
// server does. With the first camera it adds x-google-start-bitrate to every video line of its offer, also of those that
// it receives on; libwebrtc builds their receivers anew, and a packet that comes in that moment makes it take the sink
// from one of them ("Receive stream for SSRC already exists", SetSink nullptr): it decodes all pictures and shows none.
// Seen in LiveKit's Python SDK 1.2.1 in up to every third run on a busy machine. By two connections it cannot happen.
scenario(
  'the Python SDK by one connection and livekit-client by two share a room with a page of ours',
  (stage) =>
    threeMeet(stage, {
      gil: { connections: 'two', codec: 'h264' },
      bruno: { connections: 'one', codec: 'h264', path: '/rtc/v1', subscribe: 'after-publishing' },
    }),
  { deadline: 180_000 },
);

scenario(
  'the Python SDK by two connections in VP8 and livekit-client by one share a room with a page of ours',
  (stage) =>
    threeMeet(stage, {
      gil: { connections: 'one', codec: 'vp8' },
      bruno: { connections: 'two', codec: 'vp8', path: '/rtc' },
    }),
  { deadline: 180_000 },
);

scenario('a client that finds no /rtc/v1 falls back to /rtc', async (stage) => {
  const server = await stage.server();
  const way = await Proxy.start(server.url, { missing: /^\/rtc\/v1/ });
  stage.closing.push(() => way.close());
  const blue = PythonMember.start({ url: way.url, token: token({ room: 'old', identity: 'bruno' }), colour: 'blue', hz: 660 });
  stage.closing.push(() => blue.leave());
  const rosa = await stage.person({ name: 'Rosa Red', colour: 'red', hz: 440 });
  await rosa.join(way.url, 'old');
  await becomes('Rosa sees blue', () => colourOf(tileOf(rosa, 'bruno')), (colour) => colour === 'blue', { within: 30_000 });
  await becomes('and hears 660 Hz', () => tonesOf(rosa.sound('bruno'), TONES), (tones) => tones.join() === '660');
  await blue.tells('Bruno sees red', ({ event, colour }) => event === 'picture' && colour === 'red');
  assert.deepEqual([...new Set(way.upgrades)], ['/rtc']);
});
