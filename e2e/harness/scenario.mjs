// One scenario = one server, some people, one deadline. Whatever happens, everything it started ends with it; if it
// fails, what was on the screens and in the log is kept in e2e/artifacts/.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { Person } from './browser.mjs';
import { FirefoxPerson } from './firefox.mjs';
import { within } from './poll.mjs';
import { newFolder, removeFolder, Server } from './server.mjs';

const ARTIFACTS = path.resolve(import.meta.dirname, '../artifacts');

/** Everything of one scenario that has to be closed again. */
class Stage {
  people = [];
  servers = [];
  /** Called in reverse order at the end. */
  closing = [];

  /** Starts a server; on `dataDir` if given (a second start after a crash), else on a folder of its own. */
  async server({ dataDir, args } = {}) {
    if (!dataDir) {
      dataDir = newFolder('data');
      this.closing.push(() => removeFolder(dataDir));
    }
    const server = await Server.start({ dataDir, args });
    this.servers.push(server);
    return server;
  }

  /** Opens a person's browser (see Person.open). */
  async person(who) {
    const person = await Person.open(who);
    this.people.push(person);
    return person;
  }

  /** Opens a person's Firefox (see FirefoxPerson.open). */
  async firefox(who) {
    const person = await FirefoxPerson.open(who);
    this.people.push(person);
    return person;
  }

  async keepArtifacts(name) {
    const folder = path.join(ARTIFACTS, name.replace(/[^\w]+/g, '-').slice(0, 80));
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    for (const [index, server] of this.servers.entries()) {
      writeFileSync(path.join(folder, `server-${index}.log`), server.log);
      const metrics = await within(5_000, 'its metrics', server.api('GET', '/metrics')).catch(() => ({ body: '' }));
      writeFileSync(path.join(folder, `server-${index}.metrics`), metrics.body);
    }
    for (const person of this.people) {
      const file = path.join(folder, person.name.replace(/\W+/g, '-'));
      writeFileSync(`${file}.console.txt`, `${person.page.url()}\n${person.said.join('\n')}\n`);
      await within(5_000, 'a screenshot', person.page.screenshot({ path: `${file}.png` })).catch(() => {});
      const html = await within(5_000, 'the page', person.page.content()).catch(() => '');
      writeFileSync(`${file}.html`, html);
    }
    return folder;
  }

  async close() {
    for (const person of this.people) await person.close();
    const stops = await Promise.allSettled(this.servers.map((server) => server.stop()));
    for (const close of this.closing.reverse()) await close();
    return stops.filter((stop) => stop.status === 'rejected').map((stop) => stop.reason);
  }

  /** Nothing in the log and on the pages that somebody would have to get up for. */
  assertNoTrouble() {
    const trouble = [...this.servers.flatMap((server) => server.trouble()), ...this.people.flatMap((p) => p.trouble)];
    if (trouble.length > 0) throw new Error(`it worked, but not without trouble:\n${trouble.join('\n')}`);
  }
}

/**
 * A test with real programs.
 * @param {string} name  a true sentence
 * @param {(stage: Stage) => Promise<void>} body
 * @param {{deadline?: number}} [options]  ms for all of `body`
 */
export function scenario(name, body, { deadline = 120_000 } = {}) {
  test(name, async () => {
    const stage = new Stage();
    let failure;
    try {
      await within(deadline, name, body(stage));
    } catch (error) {
      failure = error;
      const folder = await stage.keepArtifacts(name);
      failure.message += `\n(kept: ${path.relative(process.cwd(), folder)})`;
    }
    const badEnds = await stage.close();
    if (failure) throw failure;
    if (badEnds.length > 0) {
      await stage.keepArtifacts(name);
      throw badEnds[0];
    }
    try {
      stage.assertNoTrouble();
    } catch (error) {
      await stage.keepArtifacts(name);
      throw error;
    }
  });
}
