// Somebody in the audience with Firefox: the one that the system has, by its own protocol (WebDriver BiDi).
//
// Not in the call: Firefox pairs no address of its own with 127.0.0.1 (its list of addresses leaves out loopback, whatever
// media.peerconnection.ice.loopback says), and tests talk to nothing else.
import { execFileSync } from 'node:child_process';
import puppeteer from 'puppeteer-core';
import { newFolder, removeFolder } from './server.mjs';

/** Where it is. */
const firefox = () => execFileSync('bash', ['-c', 'command -v firefox-esr || command -v firefox'], { encoding: 'utf8' }).trim();

const PREFERENCES = {
  'media.autoplay.default': 0,
  // No service of the maker's is asked for anything.
  'app.update.enabled': false,
  'browser.safebrowsing.downloads.enabled': false,
  'browser.safebrowsing.malware.enabled': false,
  'media.gmp-manager.url': '',
  'network.captive-portal-service.enabled': false,
};

export class FirefoxPerson {
  /** Exceptions that nobody caught. */
  trouble = [];
  /** The page's console, for looking at after a failure. */
  said = [];

  static async open({ name, viewport = { width: 1280, height: 800 } }) {
    const person = new FirefoxPerson();
    person.name = name;
    person.profile = newFolder('profile');
    person.browser = await puppeteer.launch({
      browser: 'firefox',
      executablePath: firefox(),
      headless: true,
      userDataDir: person.profile,
      extraPrefsFirefox: PREFERENCES,
      defaultViewport: viewport,
      protocolTimeout: 20_000,
    });
    person.page = await person.browser.newPage();
    person.page.on('pageerror', (error) => person.trouble.push(`${name}: ${error.stack ?? error}`));
    person.page.on('console', (message) => person.said.push(`${message.type()}: ${message.text()}`));
    return person;
  }

  /** An element as the probes want it: what is asked of it waits until it is there. */
  element(selector) {
    const found = () => this.page.waitForSelector(selector, { timeout: 20_000 });
    return {
      waitFor: found,
      click: async () => (await found()).click(),
      evaluate: async (ask, given) => (await found()).evaluate(ask, given),
      textContent: async () => (await found()).evaluate((element) => element.textContent),
      getAttribute: async (name) => (await found()).evaluate((element, name) => element.getAttribute(name), name),
    };
  }

  /** The element with this `data-testid`. */
  see(id) {
    return this.element(`[data-testid="${id}"]`);
  }

  async open(url) {
    await this.page.goto(url);
  }

  async watch(serverUrl, room) {
    await this.open(`${serverUrl}/watch/${encodeURIComponent(room)}`);
  }

  async close() {
    await this.browser.close().catch(() => {});
    removeFolder(this.profile);
  }
}
