// The screens: in words when there is no camera, by keyboard, without barriers, on a phone.
import assert from 'node:assert/strict';
import { barriers, sideways } from '../harness/axe.mjs';
import { becomes, eventually } from '../harness/poll.mjs';
import { colourOf, framesOf } from '../harness/probe.mjs';
import { scenario } from '../harness/scenario.mjs';
import { admin } from '../harness/token.mjs';

scenario('who denies camera and microphone, or has no camera, is told so in words and comes in with what there is', async (stage) => {
  const server = await stage.server();
  const said = {};
  for (const asked of ['denied', 'no camera']) {
    const person = await stage.person({ name: `Nobody ${asked}`, asked });
    await person.open(`${server.url}/join/lobby`);
    await person.see('device-problem').waitFor();
    said[asked] = await person.see('device-problem').textContent();
    assert.match(said[asked], /camera|microphone/i);
    await person.see('name-input').fill(person.name);
    await person.press('enter-button');
    await person.isIn();
  }
  assert.notEqual(said.denied, said['no camera'], 'the two have different ways out');
  const given = async () =>
    (await server.api('GET', '/api/rooms/lobby')).body.members.map(({ name, camera, microphone }) => [name, camera, microphone]);
  const expected = JSON.stringify([['Nobody denied', false, false], ['Nobody no camera', false, true]]);
  await becomes('the one has nothing to give, the other a microphone', given, (members) => JSON.stringify(members.sort()) === expected);
});

scenario('a room can be entered, used and left by keyboard alone', async (stage) => {
  const server = await stage.server();
  const red = await stage.person({ name: 'Rosa Red', colour: 'red', hz: 440 });
  const { keyboard } = red.page;
  /** Presses Tab until the element with this test id has the focus; what has it must be visible. */
  const tabTo = async (id) => {
    for (let presses = 0; presses < 60; presses += 1) {
      await keyboard.press('Tab');
      if (await red.see(id).evaluate((element) => element === document.activeElement).catch(() => false)) return;
    }
    throw new Error(`Tab does not reach ${id}`);
  };
  await red.open(server.url);
  await tabTo('room-input');
  await keyboard.type('quiet room');
  await keyboard.press('Enter');
  await red.see('name-input').waitFor();
  if (!(await red.see('name-input').evaluate((element) => element === document.activeElement))) await tabTo('name-input');
  await keyboard.type('Rosa Red');
  await keyboard.press('Enter');
  await red.isIn();
  const mute = red.see('mute-button');
  const before = await mute.getAttribute('aria-pressed');
  await tabTo('mute-button');
  await keyboard.press('Space');
  await becomes('the button says so', () => mute.getAttribute('aria-pressed'), (pressed) => pressed !== before);
  await tabTo('people-button');
  await keyboard.press('Enter');
  await red.see('people-panel').waitFor();
  await becomes('she is listed', () => red.see('people-panel').textContent(), (text) => text.includes('Rosa Red'));
  await keyboard.press('Escape');
  await eventually('Escape closes the panel', async () => !(await red.see('people-panel').isVisible()));
  await tabTo('leave-button');
  await keyboard.press('Enter');
  await eventually('she is out', async () => (await red.see('leave-button').count()) === 0);
  await becomes('of the room too', async () => (await server.api('GET', '/api/rooms/quiet%20room')).body.members, (members) => members.length === 0);
});

for (const [where, how] of Object.entries({
  'a desk, in the dark': { viewport: { width: 1280, height: 800 }, colorScheme: 'dark' },
  'a phone, by daylight': { viewport: { width: 360, height: 740 }, colorScheme: 'light', phone: true },
})) {
  scenario(
    `no screen has a barrier or scrolls sideways, on ${where}`,
    async (stage) => {
      const server = await stage.server();
      const red = await stage.person({ name: 'Rosa Red', colour: 'red', hz: 440, ...how });
      const found = [];
      const look = async (screen) => {
        // A screen that is still fading in has contrasts that nobody reads.
        await red.page.evaluate(() => Promise.all(document.getAnimations().map((animation) =>
          animation.effect?.getComputedTiming().iterations === Infinity ? null : animation.finished.catch(() => {}))));
        for (const barrier of await barriers(red)) found.push(`${screen}: ${barrier}`);
        const pixels = await sideways(red);
        if (pixels > 0) found.push(`${screen}: ${pixels} px too wide`);
      };

      await red.open(server.url);
      await red.see('room-input').waitFor();
      await look('home, empty');
      await red.open(`${server.url}/nothing/here`);
      await red.page.getByRole('heading').first().waitFor();
      await look('not found');
      await red.open(`${server.url}/watch/forum`);
      await red.see('offline').waitFor();
      await look('watch, off');
      await red.open(`${server.url}/join/forum`);
      await becomes('the preview shows', () => colourOf(red.see('preview')), (colour) => colour === 'red');
      await look('pre-join');
      await red.join(server.url, 'forum');
      await look('stage');
      await red.press('people-button');
      await red.see('people-panel').waitFor();
      await look('stage with people');
      await red.press('people-button');
      await server.api('POST', '/api/rooms/forum/recording', { token: admin('forum') });
      await red.press('go-live-button');
      await red.see('confirm-go-live').waitFor();
      await look('stage, about to go live');
      await red.press('confirm-go-live');
      await red.see('on-air').waitFor();
      await look('stage on air');
      await becomes('it is on air', async () => (await server.api('GET', '/api/rooms/forum')).body.broadcast.state, (state) => state === 'on_air');

      // A second tab, so that the first stays on air.
      const stageTab = red.page;
      red.page = await red.context.newPage();
      await red.watch(server.url, 'forum');
      await eventually('it plays', async () => (await framesOf(red.see('player'))).shown > 10);
      await look('watch, on air');
      await red.open(server.url);
      await red.see('live-list').getByText('forum').first().waitFor();
      await look('home, live');
      await server.api('DELETE', '/api/rooms/forum/recording', { token: admin('forum') });
      const [{ id }] = (await server.api('GET', '/api/recordings')).body.recordings;
      await red.open(`${server.url}/recording/${id}`);
      await red.see('player').waitFor();
      await look('recording');
      await red.page.close();
      red.page = stageTab;

      assert.deepEqual(found, []);
    },
    { deadline: 180_000 },
  );
}

scenario('markup and direction marks in names and titles are shown as text, and run nothing', async (stage) => {
  const server = await stage.server();
  const evil = (what) => `<img src=x onerror="window.ran='${what}'"><b>${what}</b>\u202e`;
  const [name, title] = [evil('name'), evil('title')];
  const { status } = await server.api('PUT', '/api/rooms/markup/settings', { token: admin('markup'), body: { title } });
  assert.equal(status, 200);
  const red = await stage.person({ name, colour: 'red', hz: 440 });
  const shown = async (where, words) => {
    await becomes(`${where} shows it as text`, () => red.page.locator('body').textContent(), (text) => text.includes(words));
    const made = await red.page.evaluate(() => [window.ran ?? null, document.querySelectorAll('img[src="x"], b').length]);
    assert.deepEqual(made, [null, 0], where);
  };
  await red.open(`${server.url}/join/markup`);
  await shown('the way in', title);
  await red.join(server.url, 'markup');
  await red.press('people-button');
  await becomes('she is listed', () => red.see('people-panel').textContent(), (text) => text.includes(name));
  await shown('the stage', name);
  await red.goLive();
  await red.see('on-air').waitFor();
  await becomes('it is on air', async () => (await server.api('GET', '/api/rooms/markup')).body.broadcast.state, (state) => state === 'on_air');
  red.page = await red.context.newPage();
  await red.watch(server.url, 'markup');
  await shown('the audience', title);
});

scenario('keys without Ctrl can be turned off, on the stage and before the audience\'s picture alike', async (stage) => {
  const server = await stage.server();
  const red = await stage.person({ name: 'Rosa Red', colour: 'red', hz: 440 });
  await red.join(server.url, 'library');
  await red.goLive();
  await red.see('on-air').waitFor();
  const muted = () => red.see('mute-button').getAttribute('aria-pressed');
  await becomes('her microphone is on', muted, (pressed) => pressed === 'false');
  await red.page.keyboard.press('?');
  await red.see('single-keys').uncheck();
  assert.deepEqual(await barriers(red), []);
  if (process.env.AMPHI_SHOTS) await red.page.screenshot({ path: `${process.env.AMPHI_SHOTS}/keys-stage.png` });
  await red.page.keyboard.press('Escape');
  for (const key of ['p', '?', 'm']) await red.page.keyboard.press(key);
  await red.page.keyboard.press('Control+d');
  await becomes('Ctrl+D mutes, and M did nothing', muted, (pressed) => pressed === 'true');
  assert.equal(await red.see('people-panel').count(), 0);
  assert.equal(await red.see('single-keys').count(), 0);
  assert.equal(await red.see('mute-button').getAttribute('title'), 'Mute (Ctrl+D)');

  const stageTab = red.page;
  red.page = await red.context.newPage();
  await red.watch(server.url, 'library');
  await becomes('it plays', () => framesOf(red.see('player')), (frames) => frames.shown > 10);
  const silent = () => red.see('player').evaluate((video) => video.muted);
  const { keyboard } = red.page;
  for (const key of ['m', 'k', '?', 'm', 'k', 'm', 'k']) await keyboard.press(key);
  assert.deepEqual(await Promise.all([silent(), red.see('player').evaluate((video) => video.paused)]), [false, false]);
  assert.equal(await red.see('single-keys').count(), 0);
  await red.press('settings-button');
  await red.press('keys-button');
  await red.see('single-keys').check();
  await keyboard.press('Escape');
  await keyboard.press('m');
  await becomes('M mutes again', silent, Boolean);
  await red.page.close();
  red.page = stageTab;
});

scenario('a viewer whose browser refuses sound sees the picture at once, and is asked to unmute', async (stage) => {
  const server = await stage.server();
  const red = await stage.person({ name: 'Rosa Red', colour: 'red', hz: 440 });
  await red.join(server.url, 'matinee');
  await red.goLive();
  await red.see('on-air').waitFor();
  const viewer = await stage.person({ name: 'Viewer', autoplay: false });
  await viewer.watch(server.url, 'matinee');
  // Not by looking at the page: to the browser a test that looks is a person who presses, who may have sound.
  await becomes('it is counted', async () => (await server.api('GET', '/api/rooms/matinee')).body.broadcast.viewers, (viewers) => viewers >= 1);
  await becomes('the picture plays', () => colourOf(viewer.see('player')), (colour) => colour === 'red');
  assert.equal(await viewer.see('player').evaluate((video) => video.muted), true);
  await viewer.press('unmute-button');
  await becomes('it sounds after the press', () => viewer.see('player').evaluate((video) => !video.muted && !video.paused), Boolean);

  await viewer.press('theatre-button');
  const wide = await viewer.see('player').evaluate((video) => video.getBoundingClientRect().width);
  await viewer.press('theatre-button');
  await becomes('theatre is wider', () => viewer.see('player').evaluate((video) => video.getBoundingClientRect().width), (width) => width < wide);
  await viewer.press('fullscreen-button');
  await becomes('full screen is full', () => viewer.page.evaluate(() => document.fullscreenElement !== null), Boolean);
});
