// The audience's side: when it starts, sound as far as the browser lets it, back and to the live edge again, keys, sharing, reporting,
// and the player in somebody else's page.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { barriers, sideways } from '../harness/axe.mjs';
import { servePages } from '../harness/files.mjs';
import { becomes, eventually } from '../harness/poll.mjs';
import { colourOf, framesOf, tonesOf } from '../harness/probe.mjs';
import { scenario } from '../harness/scenario.mjs';
import { admin, MEMBER, token } from '../harness/token.mjs';

const EMBED = readFileSync(path.resolve(import.meta.dirname, '../../docs/embed.md'), 'utf8');

/** A room on air, with a red camera and a tone of 440 Hz. */
async function onAir(stage, room) {
  const server = await stage.server();
  const red = await stage.person({ name: 'Rosa Red', colour: 'red', hz: 440 });
  await red.join(server.url, room);
  await red.goLive();
  await red.see('on-air').waitFor();
  return { server, red };
}

/** Somebody on stage who runs the room. */
async function host(stage, server, room) {
  const person = await stage.person({ name: 'Rosa Red', colour: 'red', hz: 440 });
  const paper = token({ room, identity: 'rosa', name: person.name, grants: { ...MEMBER, roomAdmin: true } });
  await person.open(`${server.url}/join/${room}#token=${paper}`);
  await person.press('enter-button');
  await person.isIn();
  return person;
}

const behind = async (viewer) => Number((await viewer.see('seconds-behind').getAttribute('data-seconds')) || NaN);
const isLive = async (viewer) => (await viewer.see('live-badge').getAttribute('data-live')) === 'true';
const place = (viewer) => viewer.see('player').evaluate((video) => video.currentTime);

scenario('a viewer whose sound did not come for nine seconds is live again soon after it comes', async (stage) => {
  const { server } = await onAir(stage, 'patchy');
  const viewer = await stage.person({ name: 'Viewer' });
  let held = Promise.resolve();
  await viewer.page.route(/\/a\d+-[\d.]+\.m4s/, async (route) => {
    await held;
    await route.continue();
  });
  await viewer.watch(server.url, 'patchy');
  await becomes('it plays', () => colourOf(viewer.see('player')), (colour) => colour === 'red');
  await becomes('near the live edge', () => behind(viewer), (seconds) => seconds < 4);
  held = new Promise((done) => setTimeout(done, 9_000));
  const before = await place(viewer);
  await becomes('it has to wait', () => behind(viewer), (seconds) => seconds > 5);
  await held;
  // It used to stay nine seconds further back for good. The rest is caught up slowly.
  await becomes('it is near the live edge again', () => behind(viewer), (seconds) => seconds < 6, { within: 45_000 });
  const { shown } = await framesOf(viewer.see('player'));
  await eventually('and plays', async () => (await framesOf(viewer.see('player'))).shown > shown + 30);
  assert.ok((await place(viewer)) > before + 6, 'what came meanwhile is left out');
});

scenario(
  'a viewer goes back, sees how far, and comes to the live edge again: by the bar, the keys and the badge',
  async (stage) => {
    const { server } = await onAir(stage, 'evening');
    const viewer = await stage.person({ name: 'Viewer' });
    await viewer.watch(server.url, 'evening');
    await becomes('it plays', () => colourOf(viewer.see('player')), (colour) => colour === 'red');
    await becomes('at the live edge', () => isLive(viewer), Boolean);
    await becomes('the title, the viewers and the people are named', () => viewer.page.locator('.watch-info').textContent(), (text) => /evening.*1 watching.*Rosa Red/s.test(text));
    // It has to have gone on for a while before there is something to go back to.
    const seek = viewer.see('seek-bar');
    await eventually('the bar is 20 seconds long', async () => (await seek.count()) > 0 && Number(await seek.getAttribute('max')) > 20, { within: 60_000 });

    const { keyboard } = viewer.page;
    const before = await behind(viewer);
    await keyboard.press('ArrowLeft');
    await becomes('it is ten seconds further behind', () => behind(viewer), (seconds) => seconds > before + 7 && seconds < before + 14);
    await becomes('and says so', () => viewer.see('live-badge').textContent(), (text) => text === 'Go to live');
    const shown = (await framesOf(viewer.see('player'))).shown;
    await eventually('it plays there', async () => (await framesOf(viewer.see('player'))).shown > shown + 30);
    assert.ok((await behind(viewer)) > before + 6, 'it is not pulled to the live edge');
    assert.match(await seek.getAttribute('aria-valuetext'), /seconds before live/);

    await keyboard.press('l');
    await becomes('L goes to the live edge', () => isLive(viewer), Boolean);
    await becomes('the delay is the old one', () => behind(viewer), (seconds) => seconds < before + 3);

    // From the beginning: by the menu, which closes, and by a key.
    const length = async () => Number(await seek.getAttribute('max'));
    for (const way of [() => viewer.press('settings-button').then(() => viewer.press('start-over')), () => keyboard.press('Home')]) {
      await way();
      await becomes('it starts over', async () => (await length()) - (await behind(viewer)), (gone) => gone < 6);
      assert.equal(await viewer.see('start-over').count(), 0);
      const { shown } = await framesOf(viewer.see('player'));
      await eventually('it plays from there', async () => (await framesOf(viewer.see('player'))).shown > shown + 15);
      await viewer.press('live-badge');
      await becomes('and goes to the edge from there', () => isLive(viewer), Boolean);
    }

    // With the bar itself: a press near its beginning, then the badge.
    const box = await seek.boundingBox();
    await viewer.page.mouse.click(box.x + box.width * 0.3, box.y + box.height / 2);
    await becomes('the bar leads back', () => behind(viewer), (seconds) => seconds > before + 8);
    await viewer.press('live-badge');
    await becomes('the badge leads to the edge', () => isLive(viewer), Boolean);

    await keyboard.press('k');
    await becomes('K pauses', () => viewer.see('player').evaluate((video) => video.paused), Boolean);
    const paused = await place(viewer);
    await viewer.page.waitForTimeout(4_000);
    await viewer.press('play-button');
    await becomes('it goes on', () => viewer.see('player').evaluate((video) => !video.paused), Boolean);
    const resumed = await place(viewer);
    assert.ok(resumed - paused < 3, `where it was paused, not ${resumed - paused} s later`);
    assert.equal(await isLive(viewer), false);

    // Steady: some seconds later, and remembered.
    await viewer.press('settings-button');
    await viewer.see('latency-select').selectOption('steady');
    await becomes('steady is some eight seconds behind', () => behind(viewer), (seconds) => seconds > 6 && seconds < 14);
    await becomes('which is live, as it was chosen', () => isLive(viewer), Boolean);
    await viewer.press('statistics-button');
    await becomes('the statistics say how it plays', () => viewer.see('statistics').textContent(), (text) => /\d+ × \d+.*avc1.*mp4a.*kbit\/s.*wanted 8\.0 s.*\d+ of \d+.*\d/s.test(text));
    assert.deepEqual(await barriers(viewer), []);
    await viewer.page.reload();
    await becomes('it is steady after a reload', () => behind(viewer), (seconds) => seconds > 6);
    await viewer.press('settings-button');
    await viewer.see('latency-select').selectOption('low');
    await becomes('low is nearer', () => behind(viewer), (seconds) => seconds < 5);
  },
  { deadline: 240_000 },
);

scenario(
  'a link to a moment begins there, and a player in a page of another site plays, talks to it, and is on no other terms with it',
  async (stage) => {
    const { server } = await onAir(stage, 'town-hall');
    const viewer = await stage.person({ name: 'Viewer' });
    await viewer.watch(server.url, 'town-hall');
    await becomes('it plays', () => colourOf(viewer.see('player')), (colour) => colour === 'red');
    await eventually('there is something to go back to', async () => Number((await viewer.see('seek-bar').getAttribute('max').catch(() => 0)) ?? 0) > 15, { within: 60_000 });
    await viewer.page.keyboard.press('ArrowLeft');
    await becomes('it is behind', () => behind(viewer), (seconds) => seconds > 8);
    await viewer.press('share-button');
    const texts = await viewer.see('share').locator('textarea').evaluateAll((areas) => areas.map((area) => area.value));
    const [link, moment, code] = texts;
    assert.equal(link, `${server.url}/watch/town-hall`);
    assert.deepEqual(await barriers(viewer), []);
    const late = await behind(viewer);
    await viewer.open(moment);
    await becomes('the link leads to that moment', () => behind(viewer), (seconds) => seconds > late - 3);
    await becomes('and is not live', () => isLive(viewer), (live) => !live);
    await viewer.open('about:blank');
    await viewer.open(`${link}?at=2001-01-01T00:00:00Z`);
    await viewer.page.getByText('no longer in the broadcast').waitFor();
    await becomes('what is long gone is live', () => isLive(viewer), Boolean);

    // Of the documentation, with this server's address.
    const example = /```html\n(.*?)```/s.exec(EMBED)[1].replaceAll('https://amphi.example', server.url);
    const shared = `<!doctype html><title>Shared</title><body>${code}</body>`;
    const site = await servePages({ '/': { text: example }, '/shared': { text: shared } });
    stage.closing.push(() => site.close());
    const viewers = async () => (await server.api('GET', '/api/rooms/town-hall')).body.broadcast.viewers;
    await viewer.open('about:blank');
    await becomes('nobody watches any more', viewers, (count) => count === 0);
    const guest = await stage.person({ name: 'Guest', autoplay: false });
    await guest.open(site.url);
    // Not by looking at the page: to the browser a test that looks is a person who presses, who may have sound.
    await becomes('the server counts it', viewers, (count) => count === 1);
    assert.notEqual(new URL(site.url).origin, new URL(server.url).origin);
    const frame = guest.page.frameLocator('amphi-player iframe');
    const player = frame.locator('[data-testid="player"]');
    await becomes('it plays in the other site', () => colourOf(player), (colour) => colour === 'red');
    await becomes('silently at first, as the browser wants it', () => player.evaluate((video) => video.muted), Boolean);
    await becomes('the page around knows', () => guest.page.locator('#state').textContent(), (text) => /^Live, 1 watching$/.test(text));
    await frame.locator('[data-testid="unmute-button"]').click();
    await becomes('it sounds', () => tonesOf(player, [440, 880]), (tones) => tones.join() === '440');
    const element = guest.page.locator('amphi-player');
    await becomes('the element says so', () => element.evaluate((it) => !it.muted && it.playing && it.behind < 8), Boolean);
    await element.evaluate((it) => it.pause());
    await becomes('it pauses when told', () => player.evaluate((video) => video.paused), Boolean);
    await element.evaluate((it) => it.toLive());
    await becomes('and goes on at the live edge', () => element.evaluate((it) => it.playing && it.behind < 6), Boolean);
    assert.equal(await sideways(guest), 0, 'nothing is too wide');
    // Only the player may be in a frame.
    const refused = await guest.page.evaluate(async (address) => {
      const other = Object.assign(document.createElement('iframe'), { src: address });
      document.body.append(other);
      await new Promise((done) => other.addEventListener('load', done));
      try {
        return other.contentWindow.location.href;
      } catch {
        return 'another origin';
      }
    }, `${server.url}/watch/town-hall`);
    assert.match(refused, /another origin|chrome-error/);
    assert.equal(guest.page.frames().filter((one) => one.url().includes('/watch/')).length, 0);
    guest.trouble = guest.trouble.filter((line) => !line.includes('frame-ancestors'));
    await guest.open(`${site.url}/shared`);
    await becomes('the code of the share dialog works too', () => colourOf(guest.page.frameLocator('amphi-player iframe').locator('[data-testid="player"]')), (colour) => colour === 'red');
  },
  { deadline: 240_000 },
);

scenario(
  'a viewer makes a clip of the last half minute as it was shown, which plays and can be kept',
  async (stage) => {
    const { server } = await onAir(stage, 'gala');
    const viewer = await stage.person({ name: 'Viewer' });
    await viewer.watch(server.url, 'gala');
    await becomes('it plays', () => colourOf(viewer.see('player')), (colour) => colour === 'red');
    const bar = viewer.see('seek-bar');
    const length = async () => Number((await bar.getAttribute('max').catch(() => 0)) ?? 0);
    await eventually('some seconds have been on air', async () => (await bar.count()) > 0 && (await length()) > 8, { within: 60_000 });
    /** What was clipped last: its id, and its first and last moment. */
    const clipped = async (press) => {
      const panel = viewer.see('clip-panel');
      await press();
      await becomes('the page says so', () => panel.textContent(), (text) => /Clip made, \d+ s/.test(text));
      const id = decodeURIComponent((await viewer.see('clip-link').getAttribute('href')).split('/').pop());
      const { body } = await server.api('GET', `/api/recordings/${id}`);
      return { ...body, from: Date.parse(body.started), to: Date.parse(body.started) + body.duration_s * 1000 };
    };
    const young = await clipped(() => viewer.page.keyboard.press('x'));
    assert.ok(young.duration_s > 4 && young.duration_s < 25, `all that there is: ${young.duration_s} s`);
    if (process.env.AMPHI_SHOTS) await viewer.page.screenshot({ path: `${process.env.AMPHI_SHOTS}/clip-desk-dark.png` });
    assert.deepEqual(await barriers(viewer), []);

    await eventually('it is long on air', async () => (await length()) > 44, { within: 90_000 });
    await viewer.page.keyboard.press('ArrowLeft');
    await becomes('it is behind', () => behind(viewer), (seconds) => seconds > 8);
    await viewer.page.getByRole('button', { name: 'Close the note about the clip' }).click();
    let shown;
    const late = await clipped(async () => {
      shown = Date.now() - (await behind(viewer)) * 1000;
      await viewer.press('clip-button');
    });
    assert.notEqual(late.id, young.id);
    assert.ok(late.duration_s > 29.5 && late.duration_s < 35.5, `half a minute and the beginning of its segment: ${late.duration_s} s`);
    assert.ok(Math.abs(late.to - shown) < 2_000, `it ends where the picture is, ${(late.to - shown) / 1000} s from it`);
    const again = await clipped(async () => {
      await viewer.page.getByRole('button', { name: 'Close the note about the clip' }).click();
      await viewer.press('clip-button');
    });
    assert.notEqual(again.id, late.id);

    const [tab] = await Promise.all([viewer.page.waitForEvent('popup'), viewer.press('clip-link')]);
    const player = tab.getByTestId('player');
    await tab.getByTestId('play-button').click();
    await becomes('the clip plays', async () => [await colourOf(player), await player.evaluate((video) => video.currentTime)], ([colour, at]) => colour === 'red' && at > 1);
    await becomes('and sounds', () => tonesOf(player, [440, 880]), (tones) => tones.join() === '440');
    await tab.close();
    const file = await fetch(server.url + (await viewer.see('clip-download').getAttribute('href')));
    assert.equal((await file.arrayBuffer()).byteLength, again.size_bytes);
    // To clip is not to come in.
    assert.equal(await viewer.page.evaluate(() => sessionStorage.getItem('amphi.token.gala')), null);

    // What the server does not do it says.
    await viewer.page.route('**/clips', (route) => route.fulfill({ status: 503, json: { error: { code: 'unavailable', action: null, message: 'Other clips are being made.' } } }));
    await viewer.press('clip-button');
    await becomes('a refusal is read', () => viewer.see('clip-panel').textContent(), (text) => text.includes('Other clips are being made.'));

    const phone = await stage.person({ name: 'Phone', phone: true, viewport: { width: 390, height: 844 }, colorScheme: 'light' });
    await phone.watch(server.url, 'gala');
    await becomes('it plays on a phone', () => colourOf(phone.see('player')), (colour) => colour === 'red');
    await phone.press('settings-button');
    await phone.page.getByRole('button', { name: 'Clip the last 30 seconds' }).tap();
    await becomes('a phone has it in the menu', () => phone.see('clip-panel').textContent(), (text) => /Clip made/.test(text));
    await phone.see('clip-link').waitFor();
    if (process.env.AMPHI_SHOTS) await phone.page.screenshot({ path: `${process.env.AMPHI_SHOTS}/clip-phone-light.png` });
    assert.deepEqual(await barriers(phone), []);
    assert.equal(await sideways(phone), 0);

    // Who may not has no button, and neither has the player in another page.
    const guest = await stage.person({ name: 'Guest' });
    await guest.page.route('**/api/server', async (route) => {
      const answer = await route.fetch();
      await route.fulfill({ response: answer, json: { ...(await answer.json()), open_grants: ['canPublish'] } });
    });
    for (const page of ['watch', 'embed']) {
      await guest.open(`${server.url}/${page}/gala`);
      await becomes('it plays', () => colourOf(guest.see('player')), (colour) => colour === 'red');
      assert.equal(await guest.see('clip-button').count(), 0, page);
    }
  },
  { deadline: 300_000 },
);

scenario(
  'who comes too early reads when it starts, counted down in their own time, until it begins',
  async (stage) => {
    const server = await stage.server();
    const red = await host(stage, server, 'premiere');
    await red.press('go-live-button');
    await red.press('announce-button');
    assert.deepEqual(await barriers(red), []);
    await red.see('starts-input').fill('2000-01-01T00:00');
    await red.press('confirm-announce');
    await becomes('what is over is refused', () => red.see('announce').textContent(), (text) => text.includes('That time is over'));
    // In full minutes of the browser's time, as the field has it.
    const starts = new Date(Math.ceil(Date.now() / 60_000) * 60_000 + 2 * 3_600_000);
    const local = await red.page.evaluate((at) => new Date(at - new Date(at).getTimezoneOffset() * 60_000).toISOString().slice(0, 16), starts.getTime());
    await red.see('starts-input').fill(local);
    await red.press('confirm-announce');
    const announced = async () => (await server.api('GET', '/api/rooms/premiere')).body.broadcast.starts;
    await becomes('it is announced', announced, (said) => said === starts.toISOString());

    const viewer = await stage.person({ name: 'Viewer' });
    const devtools = await viewer.context.newCDPSession(viewer.page);
    await devtools.send('Emulation.setTimezoneOverride', { timezoneId: 'Asia/Kolkata' });
    await viewer.watch(server.url, 'premiere');
    const there = new Intl.DateTimeFormat('en-US', { timeStyle: 'short', timeZone: 'Asia/Kolkata' }).format(starts);
    const plain = (text) => text.replaceAll(/\s/g, ' ');
    await becomes('it says when, in Kolkata', async () => plain(await viewer.see('offline').textContent()), (text) => /Starts (today|tomorrow) at/.test(text) && text.includes(plain(there)));
    assert.equal(await viewer.see('offline').locator('time').getAttribute('datetime'), starts.toISOString());
    const countdown = viewer.see('countdown');
    assert.match(await countdown.textContent(), /^in (2 h|1 h 59 min)$/);
    assert.equal(await countdown.evaluate((it) => it.closest('[aria-live], [role="status"], [role="alert"], [role="log"]')), null, 'no screen reader is told every second');
    assert.equal(await countdown.getAttribute('role'), 'timer');
    assert.deepEqual(await barriers(viewer), []);
    assert.equal(await sideways(viewer), 0);
    await viewer.open(server.url);
    await becomes('the first page has it too', async () => plain(await viewer.see('announced-list').textContent()), (text) => /^premiereStarts (today|tomorrow) at .* \(in /.test(text));
    assert.deepEqual(await barriers(viewer), []);

    await viewer.watch(server.url, 'premiere');
    const soon = new Date(Date.now() + 12_000).toISOString();
    const { status } = await server.api('PUT', '/api/rooms/premiere/settings', { token: admin('premiere'), body: { starts: soon } });
    assert.equal(status, 200);
    await becomes('the last minute is in seconds', () => countdown.textContent(), (text) => /^in \d+ s$/.test(text));
    await becomes('it is due', () => countdown.textContent(), (text) => text === 'Any moment now');
    await red.goLive();
    await becomes('it plays', () => colourOf(viewer.see('player')), (colour) => colour === 'red');
    await red.endBroadcast();
    await becomes('it has ended', () => viewer.see('offline').textContent(), (text) => text.includes('The stream has ended'));
    assert.equal(await announced(), null, 'it is not announced again');
    assert.equal(await countdown.count(), 0);
  },
  { deadline: 180_000 },
);

scenario('a viewer reports a broadcast, and who runs the room reads it on stage', async (stage) => {
  const server = await stage.server();
  const red = await host(stage, server, 'forum');
  await red.goLive();
  await red.see('on-air').waitFor();
  const viewer = await stage.person({ name: 'Viewer' });
  await viewer.watch(server.url, 'forum');
  await becomes('it plays', () => colourOf(viewer.see('player')), (colour) => colour === 'red');
  assert.equal(await red.see('reported-button').count(), 0);

  await viewer.press('report-button');
  await viewer.press('confirm-report');
  await becomes('a reason is asked for', () => viewer.see('report').textContent(), (text) => text.includes('Choose what is wrong.'));
  assert.deepEqual(await barriers(viewer), []);
  await viewer.page.locator('input[name="reason"][value="hate"]').check();
  await viewer.see('report-words').fill('<b>He shouts</b>\n\nat everybody');
  await viewer.press('confirm-report');
  await viewer.see('reported').waitFor();
  assert.deepEqual(await barriers(viewer), []);

  await becomes('she is told', () => red.see('reported-button').textContent(), (text) => text === 'Reported: 1');
  assert.deepEqual(await barriers(red), []);
  // On a phone, where the top line leaves some of its buttons out.
  await red.page.setViewportSize({ width: 390, height: 844 });
  assert.equal(await sideways(red), 0);
  await red.press('reported-button');
  const list = red.see('reports');
  const text = await list.textContent();
  assert.match(text, /^Hate or harassment.*of what was shown at .*<b>He shouts<\/b> at everybody/);
  assert.equal(await list.locator('b').count(), 0, 'words are words');
  assert.deepEqual(await barriers(red), []);
  await list.getByRole('button', { name: /^Done/ }).click();
  await red.see('no-reports').waitFor();
  assert.equal(await red.see('reported-button').count(), 0);
  await red.page.getByRole('dialog').getByRole('button', { name: 'Close' }).click();
  await eventually('the list is closed', async () => (await red.see('no-reports').count()) === 0);
  const { body } = await server.api('GET', '/api/rooms/forum/reports', { token: admin('forum') });
  assert.deepEqual(body.reports, []);
});
