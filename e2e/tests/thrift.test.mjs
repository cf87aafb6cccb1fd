// Nobody encodes what nobody takes (LiveKit's dynacast), and nobody takes what is not seen (its adaptive stream).
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { becomes, pause } from '../harness/poll.mjs';
import { colourOf } from '../harness/probe.mjs';
import { framesSent, joinBySdk, pictureOf, serveSdk } from '../harness/sdk.mjs';
import { scenario } from '../harness/scenario.mjs';
import { newFolder, removeFolder } from '../harness/server.mjs';
import { admin, token } from '../harness/token.mjs';

/** The layers that a page's browser sends just now, lowest first. */
async function layersSent(person) {
  const before = await framesSent(person);
  await pause(1_000);
  const after = await framesSent(person);
  return ['q', 'h', 'f', ''].filter((rid) => (after[rid] ?? 0) > (before[rid] ?? 0)).join();
}

const show = (person, identity, style) =>
  pictureOf(person, identity).evaluate((video, wanted) => Object.assign(video.style, wanted), style);

scenario(
  'a camera encodes the layers that somebody takes, and nothing when nobody does',
  async (stage) => {
    const folder = newFolder('config');
    stage.closing.push(() => removeFolder(folder));
    const config = path.join(folder, 'amphi.toml');
    // As large as a camera: who is composed alone fills it, of two each has half its width.
    writeFileSync(config, '[program]\nladder = ["640x360 600k"]\nframes_per_second = 15\n');
    const server = await stage.server({ args: ['--config', config] });
    const site = await serveSdk();
    stage.closing.push(() => site.close());
    const join = (person, identity, how) =>
      joinBySdk(person, { site, url: server.url, token: token({ room: 'thrift', identity }), thrift: 'yes', ...how });
    const ada = await stage.person({ name: 'Ada', colour: 'red', hz: 440 });
    await join(ada, 'ada');
    const sends = (what, layers) => becomes(what, () => layersSent(ada), (sent) => sent === layers, { within: 30_000 });
    await sends('alone she encodes nothing', '');

    const bo = await stage.person({ name: 'Bo' });
    await join(bo, 'bo', { publish: 'nothing', connections: 'two' });
    await becomes('Bo sees her', () => colourOf(pictureOf(bo, 'ada')), (colour) => colour === 'red', { within: 30_000 });
    await show(bo, 'ada', { width: '160px', height: '90px' });
    await sends('for a stamp the lowest layer is enough', 'q');
    await show(bo, 'ada', { width: '640px', height: '360px' });
    await sends('a large picture needs the higher one', 'q,h');
    await becomes(
      'and Bo gets it',
      () => pictureOf(bo, 'ada').evaluate((video) => video.videoWidth),
      (width) => width === 640,
    );
    await show(bo, 'ada', { display: 'none' });
    await sends('whom nobody sees need not be encoded', '');

    // The program takes it too: all of it where it goes on air untouched, and what fills the cell where it is composed.
    const broadcast = (method, body) => server.api(method, '/api/rooms/thrift/broadcast', { token: admin('thrift'), body });
    assert.ok((await broadcast('POST', { program: 'cut' })).status < 300);
    await sends('on air untouched it is sent whole', 'q,h');
    await show(bo, 'ada', { display: 'block' });
    await becomes('Bo sees her again', () => colourOf(pictureOf(bo, 'ada')), (colour) => colour === 'red');
    await show(bo, 'ada', { display: 'none' });
    assert.ok((await broadcast('DELETE')).status < 300);
    await sends('off air again', '');
    assert.ok((await broadcast('POST', { program: 'compose', layout: 'grid' })).status < 300);
    await sends('composed alone she fills the picture', 'q,h');
    const cy = await stage.person({ name: 'Cy', colour: 'blue', hz: 660 });
    await join(cy, 'cy');
    await becomes('Cy sees her', () => colourOf(pictureOf(cy, 'ada')), (colour) => colour === 'red');
    await show(cy, 'ada', { display: 'none' });
    await sends('for half of it the lower layer is enough', 'q');
    assert.ok((await broadcast('DELETE')).status < 300);
    await sends('off air again, nothing', '');
  },
  { deadline: 180_000 },
);

scenario(
  'VP9 and AV1 of several layers in one stream are seen in the call and by the audience; of VP9 a stamp gets the lower ones',
  async (stage) => {
    const server = await stage.server();
    const site = await serveSdk();
    stage.closing.push(() => site.close());
    const join = (person, identity, how) =>
      joinBySdk(person, { site, url: server.url, token: token({ room: 'layers', identity }), thrift: 'yes', ...how });
    const ada = await stage.person({ name: 'Ada', colour: 'red', hz: 440 });
    await join(ada, 'ada', { codec: 'vp9' });
    const codecOf = (person, type) =>
      person.page.evaluate(async (wanted) => {
        const publications = [...room.localParticipant.videoTrackPublications.values()];
        for (const other of room.remoteParticipants.values()) publications.push(...other.videoTrackPublications.values());
        for (const { track } of publications) {
          const stats = await (track.sender ?? track.receiver).getStats();
          for (const one of stats.values()) if (one.type === wanted) return stats.get(one.codecId)?.mimeType;
        }
      }, type);
    const bo = await stage.person({ name: 'Bo' });
    await join(bo, 'bo', { publish: 'nothing', connections: 'two' });
    await becomes('Bo sees her', () => colourOf(pictureOf(bo, 'ada')), (colour) => colour === 'red', { within: 30_000 });
    assert.equal(await codecOf(ada, 'outbound-rtp'), 'video/VP9');
    assert.equal(await codecOf(bo, 'inbound-rtp'), 'video/VP9');
    const width = () => pictureOf(bo, 'ada').evaluate((video) => video.videoWidth);
    await show(bo, 'ada', { width: '640px', height: '360px' });
    await becomes('large, he gets her whole', width, (seen) => seen === 640);
    await show(bo, 'ada', { width: '160px', height: '90px' });
    await becomes('small, he gets a lower layer', width, (seen) => seen < 640);
    await becomes('and sees her', () => colourOf(pictureOf(bo, 'ada')), (colour) => colour === 'red');
    await show(bo, 'ada', { width: '640px', height: '360px' });
    await becomes('large again, he gets her whole again', width, (seen) => seen === 640);

    // Of AV1 he gets all the layers, and his browser shows the best one.
    const cy = await stage.person({ name: 'Cy', colour: 'blue', hz: 660 });
    await join(cy, 'cy', { codec: 'av1' });
    await becomes('Bo sees Cy', () => colourOf(pictureOf(bo, 'cy')), (colour) => colour === 'blue', { within: 30_000 });
    await becomes('and gets her whole', () => pictureOf(bo, 'cy').evaluate((video) => video.videoWidth), (seen) => seen === 640);
    await becomes('and she sends AV1', () => codecOf(cy, 'outbound-rtp'), (codec) => codec === 'video/AV1');

    const body = { program: 'compose', layout: 'side-by-side' };
    assert.ok((await server.api('POST', '/api/rooms/layers/broadcast', { token: admin('layers'), body })).status < 300);
    const viewer = await stage.person({ name: 'Viewer' });
    await viewer.watch(server.url, 'layers');
    const halves = () => Promise.all([[0.05, 0.45], [0.55, 0.95]].map((across) => colourOf(viewer.see('player'), { across, down: [0.2, 0.8] })));
    await becomes('the audience sees both', halves, (colours) => [...colours].sort().join() === 'blue,red', { within: 60_000 });
  },
  { deadline: 180_000 },
);
