// The audience with Firefox: what is cut, what is composed, back and to the live edge again.
import assert from 'node:assert/strict';
import { becomes } from '../harness/poll.mjs';
import { colourOf, framesOf } from '../harness/probe.mjs';
import { scenario } from '../harness/scenario.mjs';

const moves = async (video) => {
  const { shown } = await framesOf(video);
  await becomes('pictures move', () => framesOf(video), (frames) => frames.shown > shown + 30);
};

scenario(
  'somebody with Firefox watches a call, cut and composed, goes back, and comes to the live edge again',
  async (stage) => {
    const server = await stage.server();
    const red = await stage.person({ name: 'Rosa Red', colour: 'red', hz: 440 });
    await red.join(server.url, 'foxes');
    await red.goLive('cut');
    await red.see('on-air').waitFor();
    const viewer = await stage.firefox({ name: 'Viewer' });
    await viewer.watch(server.url, 'foxes');
    const player = viewer.see('player');
    await becomes('who is on air is seen', () => colourOf(player), (colour) => colour === 'red');
    // Without a sound card Firefox lets nobody analyse what is heard; that there is sound it says.
    await becomes('there is sound', () => player.evaluate((video) => video.mozHasAudio), Boolean);
    const behind = async () => Number(await viewer.see('seconds-behind').getAttribute('data-seconds'));
    await becomes('it is a few seconds behind', behind, (seconds) => seconds > 0.5 && seconds < 5);

    const green = await stage.person({ name: 'Gil Green', colour: 'green', hz: 880 });
    await green.join(server.url, 'foxes');
    await red.press('go-live-button');
    await red.page.locator('input[name="program"][value="compose"]').check();
    const halves = () => Promise.all([[0.1, 0.4], [0.6, 0.9]].map((across) => colourOf(player, { across, down: [0.4, 0.6] })));
    await becomes('both are in one picture', halves, (colours) => colours.join() === 'red,green');
    await moves(player);

    await becomes('there is something to go back to', () => viewer.see('seek-bar').getAttribute('max'), (max) => Number(max) > 14);
    const before = await behind();
    await viewer.page.keyboard.press('ArrowLeft');
    await becomes('it goes back', behind, (seconds) => seconds > before + 7);
    await moves(player);
    await viewer.page.keyboard.press('l');
    await becomes('and to the live edge again', behind, (seconds) => seconds < before + 3);
    await becomes('which it says', () => viewer.see('live-badge').getAttribute('data-live'), (live) => live === 'true');
    assert.deepEqual(viewer.trouble, []);
  },
  { deadline: 240_000 },
);
