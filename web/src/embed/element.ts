/**
 * `<amphi-player room="…">`: a room's broadcast in any page (docs/embed.md). Served as `/embed.js`.
 *
 * One file that imports nothing, so that its address is all that another page has to know. It is a frame from the server that this script came from, so that styles, scripts and content security policies of the
 * page around and of the player leave each other alone.
 */
import type { Command, Told } from './messages'

const SERVER = new URL(import.meta.url).origin

class AmphiPlayer extends HTMLElement {
  static readonly observedAttributes = ['room', 'server', 'label']

  private readonly frame = document.createElement('iframe')
  private told: Told | null = null
  private readonly listen = (event: MessageEvent) => this.hear(event)

  constructor() {
    super()
    // Not a <style>: the page around may forbid those.
    const style = new CSSStyleSheet()
    style.replaceSync(
      ':host{display:block;aspect-ratio:16/9;background:#000}:host([hidden]){display:none}iframe{display:block;width:100%;height:100%;border:0}',
    )
    this.frame.allow = 'autoplay; fullscreen; picture-in-picture'
    this.frame.allowFullscreen = true
    const shadow = this.attachShadow({ mode: 'open' })
    shadow.adoptedStyleSheets = [style]
    shadow.append(this.frame)
  }

  connectedCallback(): void {
    addEventListener('message', this.listen)
    this.show()
  }

  disconnectedCallback(): void {
    removeEventListener('message', this.listen)
    this.frame.removeAttribute('src')
  }

  attributeChangedCallback(): void {
    if (this.isConnected) this.show()
  }

  /** Whether the room is on air. */
  get live(): boolean {
    return this.told?.live ?? false
  }

  get playing(): boolean {
    return this.told?.playing ?? false
  }

  get muted(): boolean {
    return this.told?.muted ?? true
  }

  set muted(muted: boolean) {
    this.say({ amphi: muted ? 'mute' : 'unmute' })
  }

  get viewers(): number {
    return this.told?.viewers ?? 0
  }

  /** Seconds behind the stage; `null` before anything plays. */
  get behind(): number | null {
    return this.told?.behind ?? null
  }

  play(): void {
    this.say({ amphi: 'play' })
  }

  pause(): void {
    this.say({ amphi: 'pause' })
  }

  toLive(): void {
    this.say({ amphi: 'live' })
  }

  private get server(): string {
    const named = this.getAttribute('server')
    if (named === null) return SERVER
    try {
      const { protocol, origin } = new URL(named, SERVER)
      return protocol === 'http:' || protocol === 'https:' ? origin : SERVER
    } catch {
      return SERVER
    }
  }

  private show(): void {
    const room = this.getAttribute('room') ?? ''
    this.frame.title = this.getAttribute('label') || `Broadcast of ${room}`
    const source = `${this.server}/embed/${encodeURIComponent(room)}`
    if (room === '') this.frame.removeAttribute('src')
    else if (this.frame.src !== source) this.frame.src = source
  }

  private say(command: Command): void {
    this.frame.contentWindow?.postMessage(command, this.server)
  }

  private hear({ data, source, origin }: MessageEvent): void {
    if (source !== this.frame.contentWindow || origin !== this.server || !isTold(data)) return
    const before = this.told
    this.told = { ...data }
    const changed = before === null || (Object.keys(data) as (keyof Told)[]).some((key) => data[key] !== before[key])
    if (changed) this.dispatchEvent(new CustomEvent('amphi-change', { detail: { ...data } }))
  }
}

function isTold(data: unknown): data is Told {
  return typeof data === 'object' && data !== null && (data as Told).amphi === 'state'
}

if (!customElements.get('amphi-player')) customElements.define('amphi-player', AmphiPlayer)
