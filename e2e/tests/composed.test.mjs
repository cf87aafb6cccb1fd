// Everybody in one picture: seen by the audience, changed while it is on air, and whole again after its process was killed.
import assert from 'node:assert/strict';
import { becomes } from '../harness/poll.mjs';
import { colourOf } from '../harness/probe.mjs';
import { scenario } from '../harness/scenario.mjs';

const PEOPLE = [
  { name: 'Rosa Red', colour: 'red', hz: 440 },
  { name: 'Gil Green', colour: 'green', hz: 880 },
  { name: 'Bea Blue', colour: 'blue', hz: 660 },
  { name: 'Yan Yellow', colour: 'yellow', hz: 990 },
];

scenario(
  'four people are on air in one picture, and the host changes how they are arranged',
  async (stage) => {
    const server = await stage.server();
    const people = [];
    for (const who of PEOPLE) {
      const person = await stage.person(who);
      await person.join(server.url, 'round-table');
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
    await becomes('each is in a corner', seen, (colours) => [...colours].sort().join() === 'blue,green,red,yellow');

    // The host looks at what the audience sees, and changes it there.
    await host.press('go-live-button');
    await becomes('the host sees what the audience sees', () => colourOf(host.see('audience-view'), { across: corners.left, down: corners.upper }), (colour) => colour !== 'none');
    await host.see('layout-select').selectOption('side-by-side');
    const halves = () => Promise.all([[0.05, 0.45], [0.55, 0.95]].map((across) => colourOf(player, { across, down: [0.2, 0.8] })));
    await becomes('the first two side by side', halves, (colours) => colours.join() === 'red,green');
    const { body } = await server.api('GET', '/api/rooms/round-table');
    assert.equal(body.broadcast.layout, 'side-by-side');
    assert.equal(body.broadcast.program, 'compose');
  },
  { deadline: 240_000 },
);
