/** The microphone and camera before a call: what there is, what is chosen, what it gives, what is wrong. */
import { computed, effect, signal, untracked } from '@preact/signals'
import * as choices from '../choices'
import { browserOf, deviceProblem, type DeviceKind, type DeviceProblem } from './deviceProblem'

export class Preview {
  readonly microphones = signal<MediaDeviceInfo[]>([])
  readonly cameras = signal<MediaDeviceInfo[]>([])
  readonly microphone = signal<MediaStreamTrack | null>(null)
  readonly camera = signal<MediaStreamTrack | null>(null)
  private readonly failures = signal<Partial<Record<DeviceKind, string>>>({})

  /** What keeps wanted devices away; one sentence when both fail for the same reason. */
  readonly problems = computed<DeviceProblem[]>(() => {
    const { microphone, camera } = this.failures.value
    const browser = browserOf(navigator.userAgent)
    if (microphone !== undefined && microphone === camera) {
      return [deviceProblem(['microphone', 'camera'], microphone, browser)]
    }
    return [
      ...(microphone === undefined ? [] : [deviceProblem(['microphone'], microphone, browser)]),
      ...(camera === undefined ? [] : [deviceProblem(['camera'], camera, browser)]),
    ]
  })

  private readonly stops: (() => void)[] = []
  private closed = false
  /** Only the newest question for a device counts: menus can be changed faster than cameras open. */
  private readonly turns: Record<DeviceKind, number> = { microphone: 0, camera: 0 }

  constructor() {
    const devices = navigator.mediaDevices as MediaDevices | undefined
    const changed = () => void this.devicesChanged()
    devices?.addEventListener('devicechange', changed)
    this.stops.push(
      () => devices?.removeEventListener('devicechange', changed),
      effect(() => {
        const wanted = choices.microphoneOn.value
        void choices.microphoneId.value
        void choices.originalSound.value
        untracked(() => void this.renew('microphone', wanted))
      }),
      effect(() => {
        const wanted = choices.cameraOn.value
        void choices.cameraId.value
        untracked(() => void this.renew('camera', wanted))
      }),
    )
    void this.list()
  }

  tryAgain(): void {
    void this.renew('microphone', choices.microphoneOn.value)
    void this.renew('camera', choices.cameraOn.value)
  }

  close(): void {
    this.closed = true
    for (const stop of this.stops) stop()
    this.microphone.value?.stop()
    this.camera.value?.stop()
  }

  /** Opens a device as it is chosen, or closes it. A device that was chosen and is gone gives way to any. */
  private async renew(kind: DeviceKind, wanted: boolean): Promise<void> {
    const turn = ++this.turns[kind]
    this[kind].value?.stop()
    this[kind].value = null
    this.fail(kind, undefined)
    if (!wanted) return
    try {
      const track = await open(kind)
      if (this.closed || turn !== this.turns[kind]) {
        track.stop()
        return
      }
      track.addEventListener('ended', () => {
        if (this[kind].value === track) void this.renew(kind, kind === 'camera' ? choices.cameraOn.value : choices.microphoneOn.value)
      })
      this[kind].value = track
    } catch (thrown) {
      if (turn === this.turns[kind]) this.fail(kind, nameOf(thrown))
    }
    // Devices have names only after one was allowed.
    await this.list()
  }

  private fail(kind: DeviceKind, error: string | undefined): void {
    const { [kind]: _, ...others } = this.failures.value
    this.failures.value = error === undefined ? others : { ...others, [kind]: error }
  }

  private async devicesChanged(): Promise<void> {
    await this.list()
    // Something plugged in may be what was missing.
    if (this.failures.value.microphone === 'NotFoundError') void this.renew('microphone', choices.microphoneOn.value)
    if (this.failures.value.camera === 'NotFoundError') void this.renew('camera', choices.cameraOn.value)
  }

  private async list(): Promise<void> {
    const found = (await (navigator.mediaDevices as MediaDevices | undefined)?.enumerateDevices().catch(() => [])) ?? []
    if (this.closed) return
    this.microphones.value = found.filter((device) => device.kind === 'audioinput' && device.deviceId !== '')
    this.cameras.value = found.filter((device) => device.kind === 'videoinput' && device.deviceId !== '')
  }
}

async function open(kind: DeviceKind): Promise<MediaStreamTrack> {
  const devices = navigator.mediaDevices as MediaDevices | undefined
  if (!devices) throw new DOMException('', 'InsecureContext')
  const id = kind === 'camera' ? choices.cameraId.value : choices.microphoneId.value
  const wish = (deviceId: string): MediaStreamConstraints => {
    const device = deviceId === '' ? {} : { deviceId: { exact: deviceId } }
    if (kind === 'camera') return { video: { ...device, width: { ideal: 1280 }, height: { ideal: 720 } } }
    return { audio: { ...device, ...soundProcessing() } }
  }
  const stream = await devices.getUserMedia(wish(id)).catch((thrown: unknown) => {
    if (id !== '' && ['OverconstrainedError', 'NotFoundError'].includes(nameOf(thrown))) return devices.getUserMedia(wish(''))
    throw thrown
  })
  const track = stream.getTracks()[0]
  if (!track) throw new DOMException('', 'NotFoundError')
  return track
}

/** What the browser may do to the microphone's sound, as the person chose. */
export function soundProcessing() {
  const process = !choices.originalSound.value
  return { echoCancellation: process, noiseSuppression: process, autoGainControl: process }
}

export function nameOf(thrown: unknown): string {
  return thrown instanceof Error || thrown instanceof DOMException ? thrown.name : ''
}
