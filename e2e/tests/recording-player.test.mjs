// A recording's own page: its controls by pointer and by keys, how fast it plays, and browsers that play it otherwise.
import assert from 'node:assert/strict';
import { barriers, sideways } from '../harness/axe.mjs';
import { becomes, eventually } from '../harness/poll.mjs';
import { colourOf, framesOf } from '../harness/probe.mjs';
import { scenario } from '../harness/scenario.mjs';
import { admin } from '../harness/token.mjs';

/** A recording of a red camera, some seconds long, and its server. From second `dark` on the camera is off. */
async function recorded(stage, room, seconds, { dark } = {}) {
  const server = await stage.server();
  const red = await stage.person({ name: 'Rosa Red', colour: 'red', hz: 440 });
  await red.join(server.url, room);
  const token = admin(room);
  const { body: started } = await eventually('the API accepts the recording', async () => {
    const answer = await server.api('POST', `/api/rooms/${room}/recording`, { token });
    return answer.status === 200 && answer;
  });
  const asked = async () => (await server.api('GET', `/api/recordings/${started.id}`)).body;
  if (dark) {
    await becomes(`${dark} seconds are recorded`, async () => (await asked()).duration_s, (now) => now >= dark);
    await red.press('camera-button');
  }
  await becomes(`${seconds} seconds are recorded`, async () => (await asked()).duration_s, (now) => now >= seconds, { within: 60_000 });
  await server.api('DELETE', `/api/rooms/${room}/recording`, { token });
  await becomes('it is ready', async () => (await asked()).state, (state) => state === 'ready');
  return { server, red, url: `${server.url}/recording/${started.id}` };
}

/** By a key: as often as it takes, for what plays does not stay at its beginning while a machine is busy. */
const toTheBeginning = (person) =>
  becomes('it is at the beginning', () => person.page.keyboard.press('0').then(() => place(person)), (at) => at < 2);

const place = (person) => person.see('player').evaluate((video) => video.currentTime);
const paused = (person) => person.see('player').evaluate((video) => video.paused);

/** What a person sees of whether and where it plays, and for a message what the browser makes of it. */
const standing = async (person) => ({
  button: await person.see('play-button').getAttribute('aria-label'),
  ...(await person.see('player').evaluate((video) => ({
    at: video.currentTime,
    of: video.duration,
    ended: video.ended,
    ready: video.readyState,
    speed: video.playbackRate,
    buffered: Array.from({ length: video.buffered.length }, (_, i) => [video.buffered.start(i), video.buffered.end(i)]),
  }))),
});

/** Seconds of the recording in one of the clock, while it plays. */
const pace = (person) =>
  person.see('player').evaluate(async (video) => {
    const [at, now] = [video.currentTime, performance.now()];
    await new Promise((done) => setTimeout(done, 1500));
    return (video.currentTime - at) / ((performance.now() - now) / 1000);
  });

/** From the beginning on it plays this many seconds in one. A stall of a busy machine is not the pace: it is asked again. */
async function playsAt(person, speed) {
  const measured = async () => {
    await toTheBeginning(person);
    return pace(person);
  };
  await becomes(`it plays ${speed} s in a second`, measured, (seconds) => Math.abs(seconds / speed - 1) < 0.2);
}

async function photograph(person, name) {
  if (process.env.AMPHI_SHOTS) await person.page.screenshot({ path: `${process.env.AMPHI_SHOTS}/recorded-${name}.png` });
}

scenario(
  'a recording begins at the second that its link says, is led by bar and keys, and plays twice as fast when told to',
  async (stage) => {
    const { red, url } = await recorded(stage, 'matinee', 14);
    const viewer = await stage.person({ name: 'Viewer' });
    const { keyboard, mouse } = viewer.page;
    await viewer.open(`${url}?t=5`);
    await becomes('it stands at the fifth second', () => viewer.see('time').textContent(), (text) => text.startsWith('0:05 / 0:'));
    assert.equal(await paused(viewer), true, 'until somebody wants it to play');
    await eventually('its first picture is there', async () => (await colourOf(viewer.see('player'))) === 'red');
    await photograph(viewer, 'desk-dark');
    assert.deepEqual(await barriers(viewer), []);
    await keyboard.press('k');
    await becomes('K plays it from there', () => place(viewer), (at) => at > 5.5 && at < 10);

    await playsAt(viewer, 1);
    for (const _ of [1.25, 1.5, 1.75, 2, 'no faster']) await keyboard.press('>');
    await becomes('the bar says how fast it plays', () => viewer.see('speed-select').inputValue(), (speed) => speed === '2');
    await playsAt(viewer, 2);
    await viewer.see('speed-select').selectOption('0.5');
    assert.equal(await viewer.see('player').evaluate((video) => video.playbackRate), 0.5);
    await becomes('it plays on', () => paused(viewer), (stands) => !stands);

    // A press on the bar, and with the bar in the hand all keys but its own still work.
    const bar = viewer.see('seek-bar');
    const box = await bar.boundingBox();
    await mouse.click(box.x + box.width / 2, box.y + box.height / 2);
    const length = await viewer.see('player').evaluate((video) => video.duration);
    await becomes('the bar leads there', () => place(viewer), (at) => Math.abs(at - length / 2) < 1.5);
    await keyboard.press('k');
    await becomes('K pauses', () => paused(viewer), Boolean);
    const before = await place(viewer);
    await keyboard.press('ArrowRight');
    await becomes('an arrow goes ten seconds on, or to the end', () => place(viewer), (at) => at > Math.min(before + 9, length - 0.5));
    await keyboard.press('Home');
    await becomes('Home goes to the beginning', () => place(viewer), (at) => at < 0.1);
    assert.match(await bar.getAttribute('aria-valuetext'), /^0:00 of 0:\d\d$/);
    // Who presses play at its end, where nothing is left, sees it from the beginning; and again once it has ended.
    await keyboard.press('End');
    await viewer.see('speed-select').selectOption('2');
    await becomes('it stands at the end', () => standing(viewer), ({ at, of }) => of - at < 0.1);
    await viewer.press('play-button');
    await becomes('it plays from the beginning', () => standing(viewer), ({ button, at, of }) => button === 'Pause' && at > 0.2 && at < of - 2);
    await keyboard.press('9');
    await becomes('it is over', () => standing(viewer), ({ button, at, of }) => button === 'Play' && of - at < 1);
    await viewer.press('play-button');
    await becomes('it plays from the beginning again', () => standing(viewer), ({ button, at, of }) => button === 'Pause' && at > 0.2 && at < of - 2);

    // A press on the picture pauses, one more plays.
    const picture = await viewer.see('player').boundingBox();
    await mouse.click(picture.x + picture.width / 2, picture.y + picture.height / 3);
    await becomes('a press on the picture pauses', () => paused(viewer), Boolean);
    await keyboard.press('5');
    await viewer.press('share-button');
    const links = await viewer.see('share').locator('textarea').evaluateAll((areas) => areas.map((area) => area.value));
    assert.equal(links[0], url);
    assert.match(links[1], /\/recording\/.*\?t=[67]$/);
    assert.deepEqual(await barriers(viewer), []);
    await viewer.open(links[1]);
    await becomes('the link leads there', () => viewer.see('time').textContent(), (text) => /^0:0[67] /.test(text));
    await viewer.press('fullscreen-button');
    await becomes('full screen is full', () => viewer.page.evaluate(() => document.fullscreenElement !== null), Boolean);
    await keyboard.press('f');

    // On a phone what has no place in the bar is in the menu.
    const phone = await stage.person({ name: 'Phone', phone: true, viewport: { width: 390, height: 844 }, colorScheme: 'light' });
    await phone.open(url);
    await phone.page.getByRole('button', { name: 'Play', exact: true }).first().tap();
    await becomes('it plays on a phone', () => place(phone), (at) => at > 1);
    await phone.page.touchscreen.tap(200, 150);
    await phone.press('settings-button');
    await phone.page.locator('.player-menu').getByLabel('Speed').selectOption('1.5');
    assert.equal(await phone.see('player').evaluate((video) => video.playbackRate), 1.5);
    assert.equal(await paused(phone), false, 'a finger on the picture pauses nothing');
    assert.deepEqual(await barriers(phone), []);
    assert.equal(await sideways(phone), 0);
    await photograph(phone, 'phone-light');
    await red.close();
  },
  { deadline: 240_000 },
);

scenario(
  'a recording plays in Firefox, and in a browser that plays files only',
  async (stage) => {
    const { url } = await recorded(stage, 'vesper', 8);
    const plain = await stage.person({ name: 'Plain' });
    await plain.context.addInitScript(() => {
      delete window.MediaSource;
      delete window.ManagedMediaSource;
    });
    await plain.open(`${url}?t=2`);
    await becomes('the file is what it plays', () => plain.see('player').evaluate((video) => video.currentSrc), (source) => source.includes('.mp4'));
    await plain.press('play-button');
    await becomes('from the second that was asked for', async () => [await place(plain), await colourOf(plain.see('player'))], ([at, colour]) => at > 2.5 && colour === 'red');
    await plain.page.keyboard.press('>');
    assert.equal(await plain.see('player').evaluate((video) => video.playbackRate), 1.25);
    await toTheBeginning(plain);

    const fox = await stage.firefox({ name: 'Fox' });
    await fox.open(`${url}?t=1`);
    await (await fox.see('play-button').waitFor()).click();
    await becomes('it plays in Firefox', async () => [(await framesOf(fox.see('player'))).shown, await colourOf(fox.see('player'))], ([shown, colour]) => shown > 10 && colour === 'red');
    for (const _ of [1.25, 1.5, 1.75, 2]) await fox.page.keyboard.press('.');
    await playsAt(fox, 2);
    assert.deepEqual(fox.trouble, []);
  },
  { deadline: 180_000 },
);

scenario(
  'a recording whose picture ends before its sound does has an end, and can be played again',
  async (stage) => {
    const { url } = await recorded(stage, 'curfew', 8, { dark: 5 });
    const viewer = await stage.person({ name: 'Viewer' });
    await viewer.open(`${url}?t=1`);
    await viewer.press('play-button');
    await becomes('it is over', () => standing(viewer), ({ button, at, of }) => button === 'Play' && of - at < 1);
    await viewer.press('play-button');
    await becomes('it plays from the beginning', () => standing(viewer), ({ button, at, of }) => button === 'Pause' && at > 0.2 && at < of - 2);
  },
  { deadline: 120_000 },
);
