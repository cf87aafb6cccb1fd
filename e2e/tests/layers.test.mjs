// A program that is cut is not encoded, and still there in more than one size: those that the publisher sends.
import assert from 'node:assert/strict';
import { becomes, eventually } from '../harness/poll.mjs';
import { colourOf, framesOf } from '../harness/probe.mjs';
import { scenario } from '../harness/scenario.mjs';
import { joinBySdk, serveSdk } from '../harness/sdk.mjs';
import { token } from '../harness/token.mjs';

const ROOM = 'many-sizes';

scenario(
  'what a member sends in several sizes is on air in each of them, and a viewer plays the small one',
  async (stage) => {
    const server = await stage.server();
    const site = await serveSdk();
    stage.closing.push(() => site.close());
    const red = await stage.person({ name: 'Rosa Red', colour: 'red', hz: 440 });
    await joinBySdk(red, { site, url: server.url, token: token({ room: ROOM, identity: 'rosa' }) });
    const host = await stage.person({ name: 'Gil Green', colour: 'green', hz: 880 });
    await host.join(server.url, ROOM);
    await host.press('mute-button');
    await becomes('the host sees her', () => colourOf(host.picture('rosa')), (colour) => colour === 'red');
    await host.goLive('cut');
    await host.see('on-air').waitFor();

    const index = async () => (await fetch(`${server.url}/hls/${ROOM}/index.m3u8`)).text();
    const sizes = async () => [...(await index()).matchAll(/RESOLUTION=\d+x(\d+)/g)].map(([, height]) => Number(height));
    await becomes('there is more than one size', sizes, (heights) => heights.length >= 2);
    const viewer = await stage.person({ name: 'Viewer' });
    await viewer.watch(server.url, ROOM);
    const player = viewer.see('player');
    await becomes('the audience sees red', () => colourOf(player), (colour) => colour === 'red');
    const choice = viewer.see('quality-select');
    const names = await choice.locator('option').allTextContents();
    const small = Math.min(...names.slice(1).map((name) => Number.parseInt(name, 10)));
    assert.ok(small < 360, `a small one among ${names}`);
    await choice.selectOption(String(names.indexOf(`${small}p`) - 1));
    const height = () => player.evaluate((video) => video.videoHeight);
    await becomes('it is the small one', height, (now) => now === small);
    const from = (await framesOf(player)).shown;
    await eventually('that goes on', async () => (await framesOf(player)).shown > from + 100);

    // Another speaker is another picture in this size too.
    await red.press('leave');
    await becomes('the picture is cut to green', () => colourOf(player), (colour) => colour === 'green');
    const shown = (await framesOf(player)).shown;
    await eventually('and goes on', async () => (await framesOf(player)).shown > shown + 60);
    assert.ok((await height()) < 720, 'the small one of whoever is on air');
  },
);
