// Everybody in one picture: seen by the audience, changed while it is on air, and whole again after its process was killed.
import assert from 'node:assert/strict';
import { becomes } from '../harness/poll.mjs';
import { colourOf, tonesOf } from '../harness/probe.mjs';
import { scenario } from '../harness/scenario.mjs';
import { joinBySdk, serveSdk } from '../harness/sdk.mjs';
import { token } from '../harness/token.mjs';

/** Five browsers and a server that composes are much for two cores: this says what is seen, not how fast. */
const SOON = { within: 45_000 };

const PEOPLE = [
  { name: 'Rosa Red', colour: 'red', hz: 440 },
  { name: 'Gil Green', colour: 'green', hz: 880 },
  { name: 'Bea Blue', colour: 'blue', hz: 660 },
  // By livekit-client, and in VP8 only.
  { name: 'Yan Yellow', colour: 'yellow', hz: 990, codec: 'vp8' },
];

scenario(
  'four people are on air in one picture, and the host changes how they are arranged',
  async (stage) => {
    const server = await stage.server();
    const site = await serveSdk();
    stage.closing.push(() => site.close());
    const people = [];
    for (const { codec, ...who } of PEOPLE) {
      const person = await stage.person(who);
      const paper = () => token({ room: 'round-table', identity: 'yan' });
      if (codec) await joinBySdk(person, { site, url: server.url, token: paper(), codec });
      else await person.join(server.url, 'round-table');
      people.push(person);
    }
    const [host] = people;
    await host.goLive('compose');
    await host.see('on-air').waitFor();
    const viewer = await stage.person({ name: 'Viewer' });
    await viewer.watch(server.url, 'round-table');
    const player = viewer.see('player');
    const corners = { left: [0.1, 0.4], right: [0.6, 0.9], upper: [0.12, 0.38], lower: [0.62, 0.88] };
    const seen = () =>
      Promise.all(
        [
          [corners.left, corners.upper],
          [corners.right, corners.upper],
          [corners.left, corners.lower],
          [corners.right, corners.lower],
        ].map(([across, down]) => colourOf(player, { across, down })),
      );
    // As they came: a row from the left to the right, then the next one.
    const inOrder = PEOPLE.map(({ colour }) => colour).join();
    await becomes('each is in their corner', seen, (colours) => colours.join() === inOrder, SOON);
    const tones = PEOPLE.map(({ hz }) => hz);
    await becomes('all four are heard', () => tonesOf(player, tones), (heard) => heard.length === tones.length, SOON);

    // The host looks at what the audience sees, and changes it there.
    await host.press('go-live-button');
    await becomes('the host sees what the audience sees', () => colourOf(host.see('audience-view'), { across: corners.left, down: corners.upper }), (colour) => colour !== 'none', SOON);
    await host.see('layout-select').selectOption('side-by-side');
    const halves = () => Promise.all([[0.05, 0.45], [0.55, 0.95]].map((across) => colourOf(player, { across, down: [0.2, 0.8] })));
    await becomes('the first two side by side', halves, (colours) => colours.join() === 'red,green', SOON);
    // Everybody's camera is wide, and the places are upright: nobody has bars when they are cropped.
    const tops = () => Promise.all([[0.1, 0.4], [0.6, 0.9]].map((across) => colourOf(player, { across, down: [0.06, 0.12] })));
    await host.see('fit-select').selectOption('crop');
    await becomes('both fill their places', tops, (colours) => colours.join() === 'red,green', SOON);
    await host.see('fit-select').selectOption('auto');
    await becomes('both are whole again', tops, (colours) => colours.join() === 'none,none', SOON);
    await host.see('title-input').fill('Round table');
    await host.see('title-input').blur();
    const onAir = async () => (await server.api('GET', '/api/rooms/round-table')).body.broadcast;
    await becomes('a title is written into the picture', onAir, (broadcast) => broadcast.picture_title === 'Round table', SOON);
    const { body } = await server.api('GET', '/api/rooms/round-table');
    assert.equal(body.broadcast.layout, 'side-by-side');
    assert.equal(body.broadcast.program, 'compose');

    // What decodes strangers' pictures breaks: nobody in the call notices, and the audience has the picture again.
    const [before] = server.workers();
    process.kill(before, 'SIGKILL');
    await becomes('another process composes', () => server.workers(), (now) => now.length > 0 && !now.includes(before), SOON);
    const from = await player.evaluate((video) => video.currentTime);
    await becomes('the audience sees what is made since', () => player.evaluate((video) => video.currentTime), (now) => now > from + 4, SOON);
    await becomes('both are there again', halves, (colours) => colours.join() === 'red,green', SOON);
    const { body: after } = await server.api('GET', '/api/rooms/round-table');
    assert.equal(after.broadcast.program, 'compose');
    assert.equal(after.members.length, PEOPLE.length);
  },
  { deadline: 420_000 },
);
