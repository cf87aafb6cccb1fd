// The measuring instruments themselves: each says yes to what is there and no to what is not.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { barriers, sideways } from '../harness/axe.mjs';
import { Person } from '../harness/browser.mjs';
import { servePages } from '../harness/files.mjs';
import { becomes, eventually } from '../harness/poll.mjs';
import { colourOf, framesOf, tonesOf } from '../harness/probe.mjs';

const MIRROR = `<!doctype html><meta charset="utf-8"><title>mirror</title>
<video data-testid="me" autoplay muted playsinline></video><audio data-testid="sound" autoplay></audio>
<video data-testid="nothing"></video><audio data-testid="silence"></audio>
<script type="module">
  const stream = await navigator.mediaDevices.getUserMedia({ video: true, audio: true });
  document.querySelector('[data-testid=me]').srcObject = stream;
  document.querySelector('[data-testid=sound]').srcObject = new MediaStream(stream.getAudioTracks());
  const quiet = new AudioContext().createMediaStreamDestination();
  document.querySelector('[data-testid=silence]').srcObject = quiet.stream;
</script>`;

test('colour, tone and frame counters tell what is there from what is not', async () => {
  const site = await servePages({ '/': { text: MIRROR } });
  const ada = await Person.open({ name: 'Ada', colour: 'red', hz: 440 });
  try {
    await ada.open(site.url);
    await becomes('the picture is red', () => colourOf(ada.see('me')), (colour) => colour === 'red');
    assert.equal(await colourOf(ada.see('nothing')), 'none');
    await becomes('440 Hz and not 880 Hz is heard', () => tonesOf(ada.see('sound'), [440, 880]), (tones) => tones.join() === '440');
    assert.deepEqual(await tonesOf(ada.see('silence'), [440, 880]), []);
    const before = (await framesOf(ada.see('me'))).shown;
    await eventually('frames are counted', async () => (await framesOf(ada.see('me'))).shown > before + 10);
    assert.equal((await framesOf(ada.see('nothing'))).shown, 0);
  } finally {
    await ada.close();
    await site.close();
  }
});

test('a screen with a barrier, or wider than its window, is seen as such', async () => {
  const words = '<!doctype html><html lang="en"><title>a</title><main><h1>a</h1>';
  const site = await servePages({
    '/': { text: `${words}</main>` },
    '/bad': { text: `${words}<button></button><div style="width: 5000px">b</div></main>` },
  });
  const ada = await Person.open({ name: 'Ada' });
  try {
    await ada.open(site.url);
    assert.deepEqual([await barriers(ada), await sideways(ada)], [[], 0]);
    await ada.open(`${site.url}/bad`);
    assert.match((await barriers(ada)).join(), /^button-name: .*<button>/);
    assert.ok((await sideways(ada)) > 3_000);
  } finally {
    await ada.close();
    await site.close();
  }
});

test('a question that never becomes true fails by name, with what was last seen', async () => {
  await assert.rejects(
    becomes('two is three', () => 2, (value) => value === 3, { within: 50, every: 10 }),
    /not within 0.05 s: two is three .*last value: 2/,
  );
});
