// From a call to an audience and back: go live, watch, the cut, the end, the recording.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { becomes, eventually } from '../harness/poll.mjs';
import { colourOf, framesOf, tonesOf } from '../harness/probe.mjs';
import { decodeErrors, probeFile } from '../harness/recording.mjs';
import { scenario } from '../harness/scenario.mjs';
import { newFolder, removeFolder } from '../harness/server.mjs';

const TONES = [440, 880];

scenario(
  'a call goes on air: the audience sees who speaks, hears everybody, and can watch the recording afterwards',
  async (stage) => {
    const server = await stage.server();
    const red = await stage.person({ name: 'Rosa Red', colour: 'red', hz: 440 });
    const green = await stage.person({ name: 'Gil Green', colour: 'green', hz: 880 });
    await red.join(server.url, 'evening-show');
    await green.join(server.url, 'evening-show');
    await becomes('they see each other', () => colourOf(green.picture('Rosa Red')), (colour) => colour === 'red');
    await green.press('mute-button');

    assert.equal(await red.see('on-air').count(), 0, 'nobody is on air before somebody says so');
    // It is recorded with it, unless that is unticked.
    await red.goLive();
    await red.see('on-air').waitFor();
    await green.see('on-air').waitFor();
    const onAir = async () => (await server.api('GET', '/api/rooms/evening-show')).body;
    await becomes('the room is on air', onAir, (room) => room.broadcast.state === 'on_air');
    await becomes('Rosa, who alone speaks, is the on-air member', onAir, (room) => room.broadcast.on_air_member?.name === 'Rosa Red');

    const viewer = await stage.person({ name: 'Viewer' });
    await viewer.watch(server.url, 'evening-show');
    const player = viewer.see('player');
    await becomes('the audience sees red', () => colourOf(player), (colour) => colour === 'red');
    if (await viewer.see('unmute-button').isVisible()) await viewer.press('unmute-button');
    await becomes('the audience hears 440 Hz alone', () => tonesOf(player, TONES), (tones) => tones.join() === '440');
    await becomes('a viewer is counted', onAir, (room) => room.broadcast.viewers >= 1);
    await becomes(
      'the page says how far it is behind, and that is not much',
      async () => Number(/[\d.]+/.exec(await viewer.see('seconds-behind').textContent())?.[0]),
      (seconds) => seconds > 0 && seconds < 6,
    );

    await green.press('mute-button');
    await becomes('the audience hears both', () => tonesOf(player, TONES), (tones) => tones.join() === '440,880');
    await red.press('mute-button');
    await becomes('the picture is cut to green', () => colourOf(player), (colour) => colour === 'green');
    await becomes('and only green is heard', () => tonesOf(player, TONES), (tones) => tones.join() === '880');
    await becomes('the API names Gil', onAir, (room) => room.broadcast.on_air_member?.name === 'Gil Green');
    const shown = (await framesOf(player)).shown;
    await eventually('the player goes on after the cut', async () => (await framesOf(player)).shown > shown + 40);

    await red.endBroadcast();
    await eventually('the frame goes from the stage', async () => (await green.see('on-air').count()) === 0);
    await viewer.see('offline').waitFor();
    assert.equal((await onAir()).broadcast.state, 'off');
    await becomes('the recording is closed with it', onAir, (room) => room.recording.state === 'off');

    // As an API user sees it.
    const { body } = await server.api('GET', '/api/recordings');
    assert.equal(body.recordings.length, 1);
    const [recording] = body.recordings;
    assert.equal(recording.room, 'evening-show');
    await becomes('it is ready', async () => (await server.api('GET', `/api/recordings/${recording.id}`)).body.state, (state) => state === 'ready');
    const folder = newFolder('recording');
    stage.closing.push(() => removeFolder(folder));
    const file = path.join(folder, 'program.mp4');
    const bytes = Buffer.from(await (await fetch(server.url + recording.file)).arrayBuffer());
    writeFileSync(file, bytes);
    const { video, audio, streams, spans } = probeFile(file);
    assert.equal(streams.length, 2);
    assert.equal(video.codec_name, 'h264');
    assert.equal(audio.codec_name, 'aac');
    const { duration_s } = (await server.api('GET', `/api/recordings/${recording.id}`)).body;
    assert.ok(duration_s > 8, `it lasted longer than ${duration_s} s`);
    for (const [kind, { from, to }] of Object.entries(spans)) {
      // Sound ends earlier: what the mix holds back for late packets, and the part that was not whole yet.
      assert.ok(Math.abs(to - duration_s) < (kind === 'audio' ? 1 : 0.5), `${kind} ends at ${to} s of ${duration_s} s`);
      assert.ok(from < 1, `${kind} begins at ${from} s`);
    }
    assert.deepEqual(decodeErrors(file), []);

    // As a person sees it.
    await viewer.open(server.url);
    const listed = viewer.see('recordings-list').getByRole('link').first();
    await listed.click();
    await viewer.page.waitForURL(`**/recording/${recording.id}`);
    const played = viewer.see('player');
    await played.evaluate((video) => video.play());
    await becomes('the recording shows a picture of the two', () => colourOf(played), (colour) => ['red', 'green'].includes(colour));
    await eventually('and goes on', async () => (await framesOf(played)).shown > 30);
    await becomes('and sounds', () => tonesOf(played, TONES), (tones) => tones.length > 0);
  },
  { deadline: 240_000 },
);
