// What somebody may not do, and what somebody may no longer do.
import assert from 'node:assert/strict';
import { becomes, eventually } from '../harness/poll.mjs';
import { colourOf, framesOf, tonesOf } from '../harness/probe.mjs';
import { scenario } from '../harness/scenario.mjs';
import { admin, MEMBER, token } from '../harness/token.mjs';

const TONES = [440, 880];

scenario('a member who loses the camera in mid-call is no longer seen, is still heard, and is told in words', async (stage) => {
  const server = await stage.server();
  const red = await stage.person({ name: 'Rosa Red', colour: 'red', hz: 440 });
  const green = await stage.person({ name: 'Gil Green', colour: 'green', hz: 880 });
  await red.join(server.url, 'court');
  await green.join(server.url, 'court');
  await becomes('Rosa sees green', () => colourOf(red.picture('Gil Green')), (colour) => colour === 'green');
  await becomes('and hears 880 Hz', () => tonesOf(red.sound(), TONES), (tones) => tones.join() === '880');

  const member = async () => (await server.api('GET', '/api/rooms/court')).body.members.find(({ name }) => name === 'Gil Green');
  const { identity } = await member();
  const change = { token: admin('court'), body: { canPublishSources: ['microphone'] } };
  const { status } = await server.api('PATCH', `/api/rooms/court/members/${encodeURIComponent(identity)}`, change);
  assert.equal(status, 200);

  await eventually('Gil is no longer seen', async () => {
    const picture = red.picture('Gil Green');
    return (await picture.count()) === 0 || !(await picture.isVisible()) || (await colourOf(picture)) === 'none';
  });
  await becomes('the API says that his camera is off', member, (gil) => gil?.camera === false && gil?.microphone === true);
  assert.equal(await red.tile('Gil Green').count(), 1, 'he is still in the call');
  await becomes('he is still heard', () => tonesOf(red.sound(), TONES), (tones) => tones.join() === '880');
  await becomes('he still sees Rosa', () => colourOf(green.picture('Rosa Red')), (colour) => colour === 'red');
  await becomes('he is told', () => green.see('notice').allTextContents(), (words) => /camera/i.test(words.join()));

  await server.api('PATCH', `/api/rooms/court/members/${encodeURIComponent(identity)}`, { token: admin('court'), body: { canPublishSources: null } });
  await eventually('he may switch it on again', async () => {
    if ((await green.see('camera-button').getAttribute('aria-pressed')) !== 'true') await green.press('camera-button');
    return (await colourOf(red.picture('Gil Green'))) === 'green';
  }, { every: 2_000 });
});

scenario('who may not publish or broadcast sees and hears, and no more', async (stage) => {
  const server = await stage.server();
  const red = await stage.person({ name: 'Rosa Red', colour: 'red', hz: 440 });
  const guest = await stage.person({ name: 'Guest', colour: 'green', hz: 880 });
  await red.join(server.url, 'court');
  const grants = { ...MEMBER, canPublish: false };
  const paper = token({ room: 'court', identity: 'guest', name: 'Guest', grants });
  await guest.open(`${server.url}/join/court#token=${paper}`);
  await guest.press('enter-button');
  await guest.isIn();
  await becomes('the guest sees red', () => colourOf(guest.picture('Rosa Red')), (colour) => colour === 'red');
  await becomes('the guest hears 440 Hz', () => tonesOf(guest.sound(), TONES), (tones) => tones.join() === '440');
  const members = (await server.api('GET', '/api/rooms/court')).body.members;
  assert.deepEqual(members.filter(({ camera, microphone }) => camera || microphone).map(({ name }) => name), ['Rosa Red']);
  assert.equal((await framesOf(red.picture('Rosa Red'))).width > 0, true, 'the call goes on');

  const refused = await server.api('POST', '/api/rooms/court/broadcast', { token: paper, body: {} });
  assert.equal(refused.status, 403);
  assert.equal(refused.body.error.code, 'not_allowed');
  assert.match(refused.body.error.message, /roomBroadcast/);
  const elsewhere = token({ room: 'another-room', identity: 'guest', grants: { roomAdmin: true } });
  assert.notEqual((await server.api('POST', '/api/rooms/court/broadcast', { token: elsewhere, body: {} })).status, 200);
  assert.equal((await server.api('POST', '/api/rooms/court/broadcast', { body: {} })).status, 401);
});
