// What becomes of a recording: for its keepers first, then for everybody, then gone.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { becomes, eventually } from '../harness/poll.mjs';
import { barriers, sideways } from '../harness/axe.mjs';
import { colourOf } from '../harness/probe.mjs';
import { scenario } from '../harness/scenario.mjs';
import { newFolder, removeFolder } from '../harness/server.mjs';

scenario(
  'a recording is for who may record until it is published, then for everybody, and deleted it is gone',
  async (stage) => {
    const folder = newFolder('config');
    stage.closing.push(() => removeFolder(folder));
    const config = path.join(folder, 'amphi.toml');
    writeFileSync(config, '[recording]\npublish = "never"\n');
    const server = await stage.server({ args: ['--config', config] });
    const red = await stage.person({ name: 'Rosa Red', colour: 'red', hz: 440, viewport: { width: 1280, height: 900 } });
    await red.join(server.url, 'studio');
    const token = await red.page.evaluate(() => sessionStorage.getItem('amphi.token.studio'));
    const { body: started } = await eventually('the API accepts the recording', async () => {
      const answer = await server.api('POST', '/api/rooms/studio/recording', { token });
      return answer.status === 200 && answer;
    });
    const asked = async (by) => server.api('GET', `/api/recordings/${started.id}`, by);
    await becomes('four seconds are recorded', async () => (await asked({ token })).body.duration_s, (seconds) => seconds >= 4, { within: 40_000 });
    await server.api('DELETE', '/api/rooms/studio/recording', { token });
    await becomes('it is ready', async () => (await asked({ token })).body.state, (state) => state === 'ready');
    assert.equal((await asked({})).status, 403);

    const viewer = await stage.person({ name: 'Viewer', viewport: { width: 360, height: 740 }, colorScheme: 'light', phone: true });
    await viewer.open(`${server.url}/recording/${started.id}`);
    await viewer.page.getByText('This recording is not published').waitFor();

    await red.open(`${server.url}/recording/${started.id}`);
    await red.see('player').evaluate((video) => video.play());
    await becomes('who records sees it', () => colourOf(red.see('player')), (colour) => colour === 'red');
    await red.see('publish').waitFor();
    for (const person of [red, viewer]) {
      assert.deepEqual(await barriers(person), []);
      assert.equal(await sideways(person), 0);
    }
    if (process.env.AMPHI_SHOTS) await red.page.screenshot({ path: `${process.env.AMPHI_SHOTS}/release-desk.png`, fullPage: true });
    await red.press('publish');
    await becomes('it says so', () => red.see('published').textContent(), (text) => text.startsWith('Published'));
    await viewer.open(`${server.url}/recording/${started.id}`);
    await viewer.see('player').evaluate((video) => video.play());
    await becomes('everybody sees it', () => colourOf(viewer.see('player')), (colour) => colour === 'red');
    assert.equal(await viewer.see('publish').count(), 0);

    await red.see('keep-for').selectOption('30days');
    await becomes('it is kept for a month', () => red.see('kept').textContent(), (text) => text.startsWith('Kept until'));
    await red.see('recording-title').fill('An <i>evening</i>');
    await red.page.keyboard.press('Enter');
    await becomes('it is named', async () => (await asked({})).body.title, (title) => title === 'An <i>evening</i>');
    await red.page.setViewportSize({ width: 360, height: 740 });
    await eventually('the page is as narrow', async () => (await sideways(red)) === 0);
    if (process.env.AMPHI_SHOTS) await red.page.screenshot({ path: `${process.env.AMPHI_SHOTS}/release-phone.png`, fullPage: true });
    await red.press('delete');
    await red.press('confirm-delete');
    await red.page.getByText('This recording is deleted').waitFor();
    assert.equal((await asked({ token })).status, 404);
  },
  { deadline: 120_000 },
);
