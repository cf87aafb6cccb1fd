// What is said, written down by an agent with LiveKit's Python SDK, and read by those who watch.
import assert from 'node:assert/strict';
import { barriers } from '../harness/axe.mjs';
import { becomes } from '../harness/poll.mjs';
import { PythonMember } from '../harness/python.mjs';
import { scenario } from '../harness/scenario.mjs';
import { admin, MEMBER, token } from '../harness/token.mjs';

const ROOM = 'in-words';
const shots = process.env.AMPHI_SHOTS;

/** What a player shows as captions at this moment. */
const read = (person) =>
  person.see('player').evaluate((video) => {
    const shown = [...video.textTracks].filter((track) => track.mode === 'showing');
    return shown.flatMap((track) => [...(track.activeCues ?? [])].map((cue) => cue.text)).join('\n');
  });

scenario(
  'what an agent writes down is read in Chromium and Firefox while it is said, and in the recording',
  async (stage) => {
    const server = await stage.server();
    const red = await stage.person({ name: 'Rosa Red', colour: 'red', hz: 440 });
    await red.join(server.url, ROOM);
    await red.goLive('cut');
    await red.see('on-air').waitFor();
    const viewer = await stage.person({ name: 'Viewer' });
    await viewer.watch(server.url, ROOM);
    await becomes('the picture moves', () => viewer.see('player').evaluate((video) => video.currentTime), (at) => at > 1);
    assert.equal(await viewer.see('captions-button').count(), 0, 'nobody writes anything yet');

    const [{ identity }] = (await server.api('GET', `/api/rooms/${ROOM}`)).body.members;
    const paper = token({ room: ROOM, identity: 'scribe', grants: { ...MEMBER, canPublish: false, agent: true } });
    const scribe = PythonMember.start({ url: server.url, token: paper });
    stage.closing.push(() => scribe.leave());
    await scribe.tells('the agent joins', ({ event }) => event === 'joined');
    let said = 0;
    const writing = setInterval(() => scribe.do({ do: 'caption', of: identity, id: `${said}`, text: `Sentence ${said++} & more of <it>.` }), 1500);
    stage.closing.push(() => clearInterval(writing));

    // Somebody who came before there was anything to read.
    await viewer.see('captions-button').waitFor();
    await viewer.press('captions-button');
    const words = /Rosa Red: Sentence \d+ & more of <it>\./;
    const plain = (text) => text.replace(/<v [^>]*>/g, '').replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&');
    await becomes('it is read in Chromium', async () => plain(await read(viewer)), (text) => words.test(text), { within: 30_000 });
    // What is read is what was said a few seconds ago.
    const last = async () => Number(/Sentence (\d+)[^\n]*$/.exec(plain(await read(viewer)))?.[1] ?? -1);
    await becomes('it is as new as the picture', async () => said - (await last()), (behind) => behind <= 6);
    assert.equal(await viewer.see('captions-button').getAttribute('aria-pressed'), 'true');
    assert.deepEqual(await barriers(viewer), []);
    if (shots) await viewer.page.screenshot({ path: `${shots}/captions.png` });
    // What is shown across a cut stands there once.
    for (const program of ['compose', 'cut']) {
      const changed = await server.api('PATCH', `/api/rooms/${ROOM}/broadcast`, { token: admin(ROOM), body: { program } });
      assert.equal(changed.body.requested, program);
      const until = Date.now() + 7_000;
      while (Date.now() < until) {
        const lines = plain(await read(viewer)).split('\n');
        assert.equal(new Set(lines).size, lines.length, `twice: ${lines.join(' / ')}`);
        await viewer.page.waitForTimeout(200);
      }
      await becomes('it is read on', async () => plain(await read(viewer)), (text) => words.test(text));
    }
    await viewer.page.keyboard.press('c');
    await becomes('and is gone again', () => read(viewer), (text) => text === '');

    const fox = await stage.firefox({ name: 'Fox' });
    await fox.watch(server.url, ROOM);
    await fox.see('captions-button').click();
    await becomes('it is read in Firefox', async () => plain(await read(fox)), (text) => words.test(text), { within: 30_000 });

    clearInterval(writing);
    scribe.do({ do: 'leave' });
    await scribe.tells('the agent leaves', ({ event }) => event === 'ended');
    await red.endBroadcast();
    const token_ = await red.page.evaluate((room) => sessionStorage.getItem(`amphi.token.${room}`), ROOM);
    const asked = async () => (await server.api('GET', '/api/recordings', { token: token_ })).body.recordings[0];
    const { value: one } = await becomes('it is recorded', asked, (one) => one?.state === 'ready');
    await viewer.open(`${server.url}/recording/${one.id}?t=${Math.round(one.duration_s - 6)}`);
    await viewer.see('captions-button').waitFor();
    await viewer.press('captions-button');
    await viewer.press('play-button');
    await becomes('it is read in the recording', async () => plain(await read(viewer)), (text) => words.test(text));
    assert.deepEqual(viewer.trouble, []);
    assert.deepEqual(fox.trouble, []);
  },
  { deadline: 240_000 },
);
