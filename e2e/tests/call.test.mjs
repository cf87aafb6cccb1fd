// Two people in a room: through the pages only, as a person clicks.
import assert from 'node:assert/strict';
import { becomes, eventually } from '../harness/poll.mjs';
import { colourOf, framesOf, tonesOf } from '../harness/probe.mjs';
import { Proxy } from '../harness/proxy.mjs';
import { scenario } from '../harness/scenario.mjs';

const TONES = [440, 880];

scenario('two people see and hear each other, and silence is silence', async (stage) => {
  const server = await stage.server();
  const red = await stage.person({ name: 'Rosa Red', colour: 'red', hz: 440 });
  const green = await stage.person({ name: 'Gil Green', colour: 'green', hz: 880 });

  // Rosa comes by the front door.
  await red.open(server.url);
  await red.see('room-input').fill('town hall');
  await red.press('join-button');
  await becomes('she sees herself before she joins', () => colourOf(red.see('preview')), (colour) => colour === 'red');
  await eventually('the level of her microphone moves', async () => Number(await red.see('level').getAttribute('aria-valuenow')) > 5);
  await red.see('name-input').fill(red.name);
  await red.press('enter-button');
  await red.isIn();
  await green.join(server.url, 'town hall');

  await becomes('Gil sees red', () => colourOf(green.picture('Rosa Red')), (colour) => colour === 'red');
  await becomes('Rosa sees green', () => colourOf(red.picture('Gil Green')), (colour) => colour === 'green');
  await becomes('Gil hears 440 Hz', () => tonesOf(green.sound(), TONES), (tones) => tones.join() === '440');
  await becomes('Rosa hears 880 Hz', () => tonesOf(red.sound(), TONES), (tones) => tones.join() === '880');
  const before = await framesOf(green.picture('Rosa Red'));
  await eventually('the picture moves', async () => (await framesOf(green.picture('Rosa Red'))).shown > before.shown + 20);

  const { body } = await server.api('GET', '/api/rooms/town%20hall');
  assert.deepEqual(body.members.map(({ name }) => name).sort(), ['Gil Green', 'Rosa Red']);
  await eventually('Rosa is seen to speak', async () => (await green.tile('Rosa Red').getAttribute('data-speaking')) === 'true');

  await red.press('mute-button');
  await becomes('a muted Rosa is not heard', () => tonesOf(green.sound(), TONES), (tones) => tones.length === 0);
  await red.press('mute-button');
  await becomes('Rosa is heard again', () => tonesOf(green.sound(), TONES), (tones) => tones.join() === '440');

  await red.press('camera-button');
  await eventually('a Rosa without camera is not seen', async () => {
    const picture = green.picture('Rosa Red');
    return (await picture.count()) === 0 || !(await picture.isVisible()) || (await colourOf(picture)) === 'none';
  });
  await red.press('camera-button');
  await becomes('Rosa is seen again', () => colourOf(green.picture('Rosa Red')), (colour) => colour === 'red');

  await red.press('leave-button');
  await eventually('who left is gone', async () => (await green.tile('Rosa Red').count()) === 0);
  await becomes(
    'the room says so too',
    async () => (await server.api('GET', '/api/rooms/town%20hall')).body.members.map(({ name }) => name),
    (names) => names.join() === 'Gil Green',
  );
});

scenario('a shared screen is seen beside the camera', async (stage) => {
  const server = await stage.server();
  const red = await stage.person({ name: 'Rosa Red', colour: 'red', hz: 440 });
  const green = await stage.person({ name: 'Gil Green', colour: 'green', hz: 880 });
  await red.join(server.url, 'screens');
  await green.join(server.url, 'screens');
  await red.press('screen-button');
  const shared = green.picture('Rosa Red', 'screen');
  await eventually('Gil sees the screen', async () => (await framesOf(shared)).width > 0 && (await framesOf(shared)).shown > 2);
  await becomes('and her camera', () => colourOf(green.picture('Rosa Red')), (colour) => colour === 'red');
  await red.press('screen-button');
  await eventually('the screen goes', async () => (await shared.count()) === 0);
});

scenario('who is still coming in can choose, but starts nothing in the room before being in it', async (stage) => {
  const server = await stage.server();
  const way = await Proxy.start(server.url);
  stage.closing.push(() => way.close());
  const red = await stage.person({ name: 'Rosa Red', colour: 'red', hz: 440 });
  let letIn;
  way.held = new Promise((done) => (letIn = done));
  await red.open(`${way.url}/join/porch`);
  await red.see('name-input').fill(red.name);
  await red.press('enter-button');
  for (const id of ['go-live-button', 'record-button']) {
    assert.equal(await red.see(id).getAttribute('aria-disabled'), 'true');
    await red.see(id).dispatchEvent('click');
    await becomes('she is told', () => red.see('notice').textContent(), (text) => /not in the room yet/.test(text));
    assert.equal(await red.page.getByRole('dialog').count(), 0);
  }
  await red.press('mute-button');
  letIn();
  await red.isIn();
  assert.equal(await red.see('mute-button').getAttribute('aria-pressed'), 'true', 'as she chose');
  await red.goLive();
  await red.see('on-air').waitFor();
});

scenario('people come and go, and whoever is there is seen and heard', async (stage) => {
  const server = await stage.server();
  const red = await stage.person({ name: 'Rosa Red', colour: 'red', hz: 440 });
  const green = await stage.person({ name: 'Gil Green', colour: 'green', hz: 880 });
  await red.join(server.url, 'corridor');
  for (const time of ['first', 'second', 'third']) {
    await green.join(server.url, 'corridor');
    await becomes(`Rosa sees green the ${time} time`, () => colourOf(red.picture('Gil Green')), (colour) => colour === 'green');
    await becomes('and hears 880 Hz', () => tonesOf(red.sound().first(), TONES), (tones) => tones.join() === '880');
    await becomes('Gil sees red', () => colourOf(green.picture('Rosa Red')), (colour) => colour === 'red');
    await becomes('and hears 440 Hz', () => tonesOf(green.sound(), TONES), (tones) => tones.join() === '440');
    await green.press('leave-button');
    await eventually('who left is gone', async () => (await red.tile('Gil Green').count()) === 0);
  }
});
