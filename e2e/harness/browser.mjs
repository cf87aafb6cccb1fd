// People: each has a browser, a camera of one colour and a microphone of one tone, and clicks.
import { execFileSync } from 'node:child_process';
import { chromium } from 'playwright-core';
import { camera, microphone } from './media.mjs';
import { newFolder, removeFolder } from './server.mjs';

const CHROMIUM = execFileSync('bash', ['-c', 'command -v chromium || command -v chromium-browser'], { encoding: 'utf8' }).trim();

const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-renderer-backgrounding',
  '--disable-backgrounding-occluded-windows',
  '--disable-background-timer-throttling',
];

/** How the browser answers when a page asks for camera and microphone. */
const ASKED = {
  granted: ['--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream'],
  denied: ['--use-fake-ui-for-media-stream=deny', '--use-fake-device-for-media-stream'],
  'no camera': ['--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream=device-count=0'],
};

/** Finds an element by the page's `data-testid`. */
const byId = (page, id) => page.locator(`[data-testid="${id}"]`);

export class Person {
  /** What went wrong inside the page: exceptions nobody caught, and what the content security policy refused. */
  trouble = [];

  /**
   * @param {{name: string, colour?: string, camera?: string, hz?: number, asked?: keyof typeof ASKED, autoplay?: boolean,
   *   viewport?: {width: number, height: number}, colorScheme?: 'dark' | 'light', phone?: boolean}} who
   */
  static async open(who) {
    const person = new Person();
    person.name = who.name;
    person.profile = newFolder('profile');
    const flags = [...FLAGS, ...ASKED[who.asked ?? 'granted']];
    if (who.autoplay ?? true) flags.push('--autoplay-policy=no-user-gesture-required');
    if (who.camera) flags.push(`--use-file-for-fake-video-capture=${who.camera}`);
    if (who.colour) flags.push(`--use-file-for-fake-video-capture=${camera(who.colour)}`);
    if (who.hz) flags.push(`--use-file-for-fake-audio-capture=${microphone(who.hz)}`);
    person.context = await chromium.launchPersistentContext(person.profile, {
      executablePath: CHROMIUM,
      headless: true,
      args: flags,
      viewport: who.viewport ?? { width: 1280, height: 800 },
      colorScheme: who.colorScheme ?? 'dark',
      isMobile: who.phone ?? false,
      hasTouch: who.phone ?? false,
      // Chromium starts with flags of its own that mute a page and hide its scroll bars; we listen to it.
      ignoreDefaultArgs: ['--mute-audio'],
    });
    person.context.setDefaultTimeout(20_000);
    await person.context.addInitScript(microphoneWithoutProcessing);
    person.page = person.context.pages()[0] ?? (await person.context.newPage());
    person.page.on('pageerror', (error) => person.trouble.push(`${who.name}: ${error.stack ?? error}`));
    person.page.on('console', (message) => {
      if (/Content.Security.Policy/i.test(message.text())) person.trouble.push(`${who.name}: ${message.text()}`);
      person.said.push(`${message.type()}: ${message.text()}`);
    });
    return person;
  }

  /** The page's console, for looking at after a failure. */
  said = [];

  /** The element with this `data-testid`. */
  see(id) {
    return byId(this.page, id);
  }

  /** Presses a button. */
  async press(id) {
    await this.see(id).click();
  }

  async open(url) {
    await this.page.goto(url);
  }

  /** From the address of a room to its stage, as a person goes: name, then Enter. */
  async join(serverUrl, room) {
    await this.open(`${serverUrl}/join/${encodeURIComponent(room)}`);
    await this.see('name-input').fill(this.name);
    await this.press('enter-button');
    await this.isIn();
  }

  /** Waits until this person is in the room; the bar with its buttons is there before. */
  async isIn() {
    await this.page.locator('[data-testid="tile"].mine').waitFor();
  }

  /** The camera tile in which this person sees somebody (by shown name). */
  tile(name, source = 'camera') {
    return this.page.locator(`[data-testid="tile"][data-source="${source}"]`).filter({ hasText: name });
  }

  /** The picture in that tile. */
  picture(name, source = 'camera') {
    return this.tile(name, source).locator('video');
  }

  /** The sound of one other member; of any if no identity is given. */
  sound(identity) {
    const one = identity === undefined ? '' : `[data-identity="${identity}"]`;
    return this.page.locator(`audio[data-testid="remote-audio"]${one}`);
  }

  /** Opens the watch page of a room. */
  async watch(serverUrl, room) {
    await this.open(`${serverUrl}/watch/${encodeURIComponent(room)}`);
  }

  /** With this program ('auto', 'compose' or 'cut'). */
  async goLive(program = 'cut') {
    await this.press('go-live-button');
    await this.page.locator(`input[name="program"][value="${program}"]`).check();
    await this.press('confirm-go-live');
  }

  async endBroadcast() {
    await this.press('end-broadcast-button');
    await this.press('confirm-end');
  }

  async close() {
    await this.context.close().catch(() => {});
    removeFolder(this.profile);
  }
}

/** Runs in every page before its own code: echo cancellation and noise suppression would take a steady tone away. */
function microphoneWithoutProcessing() {
  const devices = navigator.mediaDevices;
  if (!devices) return;
  const ask = devices.getUserMedia.bind(devices);
  devices.getUserMedia = (wanted) => {
    if (!wanted?.audio) return ask(wanted);
    const given = wanted.audio === true ? {} : wanted.audio;
    return ask({
      ...wanted,
      audio: { ...given, echoCancellation: false, noiseSuppression: false, autoGainControl: false },
    });
  };
}
