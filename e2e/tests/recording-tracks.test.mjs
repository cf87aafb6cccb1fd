// A recording with every member's own track: asked for in the page, played one alone, found by what happened, copied away.
import assert from 'node:assert/strict';
import { existsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { barriers, sideways } from '../harness/axe.mjs';
import { becomes, eventually } from '../harness/poll.mjs';
import { colourOf, framesOf, tonesOf } from '../harness/probe.mjs';
import { scenario } from '../harness/scenario.mjs';
import { newFolder, removeFolder } from '../harness/server.mjs';

const shots = process.env.AMPHI_SHOTS;

scenario(
  "each member's own track plays alone, a moment of the timeline is played from, and the page tells of the copy elsewhere",
  async (stage) => {
    const folder = newFolder('config');
    stage.closing.push(() => removeFolder(folder));
    const archive = newFolder('archive');
    stage.closing.push(() => removeFolder(archive));
    const config = path.join(folder, 'amphi.toml');
    const program = '[program]\nkind = "cut"\n';
    writeFileSync(config, `${program}[recording]\npublish = "never"\n[recording.export]\nfolder = "${archive}"\n`);
    const server = await stage.server({ args: ['--config', config] });
    const red = await stage.person({ name: 'Rosa Red', colour: 'red', hz: 440, viewport: { width: 1280, height: 900 } });
    const green = await stage.person({ name: 'Gil Green', colour: 'green', hz: 880 });
    await red.join(server.url, 'studio');
    await green.join(server.url, 'studio');
    await green.press('mute-button');
    await becomes('they see each other', () => colourOf(red.picture('Gil Green')), (colour) => colour === 'green');

    await red.press('record-button');
    const tracksToo = red.see('tracks-too');
    assert.equal(await tracksToo.isChecked(), false, 'nobody asked for it');
    await tracksToo.check();
    assert.deepEqual(await barriers(red), []);
    if (shots) await red.page.screenshot({ path: `${shots}/record-desk.png` });
    await red.press('confirm-record');
    const token = await red.page.evaluate(() => sessionStorage.getItem('amphi.token.studio'));
    const asked = async (what = '') => (await server.api('GET', `/api/recordings${what}`, { token })).body;
    const { value: one } = await becomes('it is recorded', async () => (await asked()).recordings[0], (one) => one?.duration_s >= 4, { within: 40_000 });
    const onAir = async () => (await asked(`/${one.id}/timeline`)).events.findLast((event) => event.event === 'on_air');
    const first = await onAir();
    await red.press('mute-button');
    await green.press('mute-button');
    const { value: cut } = await becomes('the picture is cut to green', onAir, (event) => event?.member !== first?.member);
    await becomes('green is recorded', async () => (await asked(`/${one.id}`)).duration_s, (seconds) => seconds >= cut.at_s + 4, { within: 40_000 });
    assert.match((await asked(`/${one.id}`)).export.state, /waiting/);
    await red.press('record-button');
    await becomes('it is ready', async () => (await asked(`/${one.id}`)).state, (state) => state === 'ready');

    await red.open(`${server.url}/recording/${one.id}`);
    await becomes('the page says where the copy is', () => red.see('export').textContent(), (text) => text.startsWith('Copied to the folder amphi-archive'), { within: 30_000 });
    assert.ok(existsSync(path.join(archive, one.id, 'program.mp4')));

    // One member's track alone.
    const tracks = red.see('tracks').locator('li');
    await becomes('all four are there', () => tracks.allTextContents(), (texts) => texts.length === 4);
    const play = (name) => red.page.getByRole('button', { name: `Play ${name}` }).click();
    const close = () => red.page.getByRole('button', { name: 'Close' }).click();
    const track = red.see('track-player');
    for (const [name, colour] of [['Gil Green, camera', 'green'], ['Rosa Red, camera', 'red']]) {
      await play(name);
      await becomes(`${name} is ${colour} from beginning to end`, async () => [await colourOf(track), await framesOf(track)], ([seen, { shown }]) => seen === colour && shown > 20);
      assert.deepEqual(await barriers(red), []);
      if (shots && colour === 'green') await red.page.screenshot({ path: `${shots}/track-desk.png` });
      await track.evaluate((video) => (video.currentTime = video.duration - 0.5));
      await becomes('to its end', () => track.evaluate((video) => video.ended), (ended) => ended);
      assert.equal(await colourOf(track), colour);
      await close();
    }
    await play('Rosa Red, microphone');
    await becomes('Rosa alone is heard', () => tonesOf(track, [440, 880]), (tones) => tones.join() === '440');
    await close();

    // What happened leads to where it happened.
    const player = red.see('player');
    const at = () => player.evaluate((video) => video.currentTime);
    const moments = red.see('moments');
    await moments.getByRole('button', { name: 'Gil Green in the picture' }).last().click();
    assert.ok(Math.abs((await at()) - cut.at_s) < 0.1, `at ${await at()}, cut at ${cut.at_s}`);
    await player.evaluate((video) => video.play());
    await becomes('it plays from there', async () => [await at(), await colourOf(player)], ([seconds, colour]) => seconds > cut.at_s + 1 && colour === 'green');
    assert.match(await moments.locator('[aria-current="true"]').textContent(), /Gil Green in the picture/);
    await moments.getByRole('button', { name: /In the room: .*Rosa Red/ }).click();
    await becomes('and from the beginning', async () => [await at(), await colourOf(player)], ([seconds, colour]) => seconds < cut.at_s && colour === 'red');
    await player.evaluate((video) => video.pause());
    const bar = red.see('moments-bar');
    const { width } = await bar.boundingBox();
    await bar.click({ position: { x: width / 2, y: 12 } });
    const length = await player.evaluate((video) => video.duration);
    assert.ok(Math.abs((await at()) - length / 2) < 0.5, `${await at()} of ${length}`);

    assert.deepEqual(await barriers(red), []);
    if (shots) await red.page.screenshot({ path: `${shots}/recording-desk.png`, fullPage: true });
    await red.page.emulateMedia({ colorScheme: 'light' });
    if (shots) await red.page.screenshot({ path: `${shots}/recording-desk-light.png`, fullPage: true });
    assert.deepEqual(await barriers(red), []);
    await red.page.setViewportSize({ width: 360, height: 740 });
    await eventually('the page is as narrow', async () => (await sideways(red)) === 0);
    if (shots) await red.page.screenshot({ path: `${shots}/recording-phone-light.png`, fullPage: true });
    await red.page.emulateMedia({ colorScheme: 'dark' });
    if (shots) await red.page.screenshot({ path: `${shots}/recording-phone.png`, fullPage: true });

    // Publishing it publishes the program, and not what members sent.
    await red.press('publish');
    await becomes('it is published', () => red.see('published').textContent(), (text) => text.startsWith('Published'));
    const { tracks: listed } = await asked(`/${one.id}/tracks`);
    assert.equal((await fetch(server.url + listed[0].file)).status, 200);
    assert.equal((await fetch(server.url + listed[0].file.split('?')[0])).status, 403);
    const viewer = await stage.person({ name: 'Viewer', viewport: { width: 360, height: 740 }, colorScheme: 'light', phone: true });
    await viewer.open(`${server.url}/recording/${one.id}`);
    await viewer.see('moments').waitFor();
    assert.equal(await viewer.see('tracks').count(), 0);
    assert.deepEqual(await barriers(viewer), []);
  },
  { deadline: 180_000 },
);
