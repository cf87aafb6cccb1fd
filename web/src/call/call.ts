/**
 * One call: LiveKit's client as signals that the stage draws.
 *
 * Every event of the room leads to the same `refresh`, which reads the whole room again: a room on stage is
 * small, and one way of reading it cannot disagree with another. What is allowed is the server's word; this
 * only says in words what it refused.
 */
import { signal } from '@preact/signals'
import {
  AudioPresets,
  ConnectionQuality,
  ConnectionState,
  isBrowserSupported,
  PublishTrackError,
  RemoteAudioTrack,
  Room,
  RoomEvent,
  setLogLevel,
  Track,
  VideoPresets,
  type LocalVideoTrack,
  type Participant,
  type RemoteVideoTrack,
} from 'livekit-client'
import * as choices from '../choices'
import { browserOf, deviceProblem } from './deviceProblem'
import { endingOf, failureOf, type Ending } from './ending'
import { allowedSources, changeInWords, refusal, type Permission, type Source } from './permissions'
import { nameOf, soundProcessing } from './preview'
import { Switch } from './switch'

export type VideoTrack = LocalVideoTrack | RemoteVideoTrack
export type Quality = 'good' | 'weak' | 'lost'

export interface MemberView {
  identity: string
  name: string
  isMe: boolean
  speaking: boolean
  quality: Quality
  microphone: boolean
  camera: VideoTrack | null
  screen: VideoTrack | null
  allowed: ReadonlySet<Source>
}

export interface Sound {
  key: string
  identity: string
  source: 'microphone' | 'screen'
  track: RemoteAudioTrack
}

export interface Notice {
  text: string
  /** Tells two notices with the same words apart. */
  number: number
}

const NOTICE_SHOWN_MS = 9000

// Its daily doings are of no use in a person's console.
setLogLevel('warn')

/** What LiveKit calls what we publish with: H.264, because the broadcast takes it as it is. */
const ROOM_OPTIONS = {
  adaptiveStream: true,
  dynacast: true,
  publishDefaults: { videoCodec: 'h264', simulcast: true, red: false, backupCodec: false },
  videoCaptureDefaults: { resolution: VideoPresets.h720.resolution },
} as const

const REFRESHING = [
  RoomEvent.ConnectionStateChanged,
  RoomEvent.ParticipantConnected,
  RoomEvent.ParticipantDisconnected,
  RoomEvent.ParticipantNameChanged,
  RoomEvent.ParticipantActive,
  RoomEvent.TrackPublished,
  RoomEvent.TrackUnpublished,
  RoomEvent.TrackSubscribed,
  RoomEvent.TrackUnsubscribed,
  RoomEvent.TrackMuted,
  RoomEvent.TrackUnmuted,
  RoomEvent.LocalTrackPublished,
  RoomEvent.LocalTrackUnpublished,
  RoomEvent.ActiveSpeakersChanged,
  RoomEvent.ConnectionQualityChanged,
  RoomEvent.ParticipantPermissionsChanged,
] as const

export class Call {
  readonly state = signal<'connecting' | 'connected' | 'reconnecting' | 'over'>('connecting')
  readonly ending = signal<Ending | null>(null)
  readonly members = signal<MemberView[]>([])
  readonly sounds = signal<Sound[]>([])
  readonly soundBlocked = signal(false)
  readonly notice = signal<Notice | null>(null)
  readonly microphone: Switch
  readonly camera: Switch
  readonly screen: Switch
  /** Since when this person is in the call, in ms since 1970. */
  readonly since = signal<number | null>(null)

  private readonly room: Room
  private left = false
  private refreshing = false
  private talking = false
  private notices = 0
  private noticeTimer = 0

  constructor() {
    this.room = new Room({
      ...ROOM_OPTIONS,
      audioCaptureDefaults: this.soundOptions(),
      ...(choices.speakerId.value === '' ? {} : { audioOutput: { deviceId: choices.speakerId.value } }),
    })
    const me = this.room.localParticipant
    this.microphone = new Switch(choices.microphoneOn.value, {
      actual: () => me.isMicrophoneEnabled,
      change: (on) => this.setMicrophone(on),
      failed: (thrown) => this.failed('microphone', thrown),
    })
    this.camera = new Switch(choices.cameraOn.value, {
      actual: () => me.isCameraEnabled,
      change: (on) => this.setCamera(on),
      failed: (thrown) => this.failed('camera', thrown),
    })
    this.screen = new Switch(false, {
      actual: () => me.isScreenShareEnabled,
      change: (on) => this.setScreen(on),
      failed: (thrown) => this.failed('screen_share', thrown),
    })
    this.listen()
  }

  /** Joins, then opens the microphone and the camera as chosen at the door. */
  async join(token: string, name: string): Promise<void> {
    this.ending.value = null
    this.state.value = 'connecting'
    if (!isBrowserSupported()) {
      this.finish({ title: 'This browser cannot hold a call', words: 'It lacks WebRTC. Use a current Chromium, Firefox or Safari.', again: false, byItself: false })
      return
    }
    try {
      await this.room.connect(serverAddress(location), token)
    } catch (thrown) {
      if (!this.left) this.finish(failureOf(thrown))
      return
    }
    if (this.left) return
    this.since.value ??= Date.now()
    this.refresh()
    const me = this.room.localParticipant
    if (name !== '' && me.name !== name && me.permissions?.canUpdateMetadata) await me.setName(name).catch(() => {})
    const allowed = allowedSources(this.permission(me))
    const refused = (['microphone', 'camera'] as const).filter((source) => !allowed.has(source))
    if (refused.length > 0) this.say(refusal(refused))
    for (const source of refused) void this[source].want(false)
    await Promise.all([this.microphone.start(), this.camera.start(), this.screen.start()])
  }

  leave(): void {
    this.left = true
    clearTimeout(this.noticeTimer)
    void this.room.disconnect()
  }

  async startSound(): Promise<void> {
    await this.room.startAudio()
  }

  say(text: string): void {
    this.notice.value = { text, number: ++this.notices }
    clearTimeout(this.noticeTimer)
    this.noticeTimer = window.setTimeout(() => (this.notice.value = null), NOTICE_SHOWN_MS)
  }

  hush(): void {
    clearTimeout(this.noticeTimer)
    this.notice.value = null
  }

  get me(): MemberView | undefined {
    return this.members.value.find((member) => member.isMe)
  }

  async toggleMicrophone(): Promise<void> {
    const on = !this.microphone.on.value
    if (on && !this.may('microphone')) return
    choices.microphoneOn.value = on
    await this.microphone.want(on)
  }

  async toggleCamera(): Promise<void> {
    const on = !this.camera.on.value
    if (on && !this.may('camera')) return
    choices.cameraOn.value = on
    await this.camera.want(on)
  }

  async toggleScreen(): Promise<void> {
    const on = !this.screen.on.value
    if (on && !this.may('screen_share')) return
    if (on && !('getDisplayMedia' in (navigator.mediaDevices ?? {}))) {
      this.say('This browser cannot share a screen.')
      return
    }
    await this.screen.want(on)
  }

  /** Holding a key to talk: on while it is held, and only when the microphone was off. */
  async talk(held: boolean): Promise<void> {
    if (held) {
      if (this.talking || this.microphone.on.value || !this.may('microphone')) return
      this.talking = true
      await this.microphone.want(true)
    } else if (this.talking) {
      this.talking = false
      await this.microphone.want(false)
    }
  }

  async chooseMicrophone(id: string): Promise<void> {
    choices.microphoneId.value = id
    await this.switchTo('audioinput', id)
  }

  async chooseCamera(id: string): Promise<void> {
    choices.cameraId.value = id
    await this.switchTo('videoinput', id)
  }

  async chooseSpeaker(id: string): Promise<void> {
    choices.speakerId.value = id
    await this.switchTo('audiooutput', id)
  }

  private async switchTo(kind: MediaDeviceKind, id: string): Promise<void> {
    try {
      await this.room.switchActiveDevice(kind, id)
    } catch (thrown) {
      const kinds = { audioinput: 'microphone', videoinput: 'camera', audiooutput: null } as const
      const what = kinds[kind]
      this.say(what === null ? 'That speaker cannot be used.' : wordsFor(what, thrown))
    }
  }

  private async setMicrophone(on: boolean): Promise<void> {
    const options = { ...this.soundOptions(), ...device(choices.microphoneId.value) }
    const publishing = choices.originalSound.value ? { dtx: false, audioPreset: AudioPresets.musicHighQuality } : {}
    await this.room.localParticipant.setMicrophoneEnabled(on, options, publishing)
    this.refresh()
  }

  private async setCamera(on: boolean): Promise<void> {
    const options = { resolution: VideoPresets.h720.resolution, ...device(choices.cameraId.value) }
    await this.room.localParticipant.setCameraEnabled(on, options)
    this.refresh()
  }

  private async setScreen(on: boolean): Promise<void> {
    await this.room.localParticipant.setScreenShareEnabled(on, { audio: true, selfBrowserSurface: 'include' })
    this.refresh()
  }

  private failed(source: Source, thrown: unknown): void {
    // Closing the browser's question for a screen is an answer, not a failure.
    if (this.left || (source === 'screen_share' && nameOf(thrown) === 'NotAllowedError')) return
    this.say(wordsFor(source, thrown))
    this.refresh()
  }

  private may(source: Source): boolean {
    if (allowedSources(this.permission(this.room.localParticipant)).has(source)) return true
    this.say(refusal([source]))
    return false
  }

  private soundOptions() {
    const processed = soundProcessing()
    return { ...processed, voiceIsolation: processed.noiseSuppression }
  }

  private listen(): void {
    const { room } = this
    for (const event of REFRESHING) room.on(event, () => this.refresh())
    room.on(RoomEvent.Disconnected, (reason) => {
      // A connect that fails says so itself, with more detail.
      if (!this.left && this.state.value !== 'connecting') this.finish(endingOf(reason))
    })
    room.on(RoomEvent.AudioPlaybackStatusChanged, () => {
      this.soundBlocked.value = !room.canPlaybackAudio
    })
    room.on(RoomEvent.ParticipantPermissionsChanged, (before, participant) => {
      if (!participant.isLocal || before === undefined) return
      const now = allowedSources(this.permission(participant))
      const words = changeInWords(allowedSources(before), now)
      if (words !== null) this.say(words)
      void this.giveUpWhatIsRefused(now)
    })
    room.on(RoomEvent.MediaDevicesChanged, () => this.refresh())
  }

  /** Closes devices that may no longer be used, so that their lights go out too. */
  private async giveUpWhatIsRefused(allowed: ReadonlySet<Source>): Promise<void> {
    const me = this.room.localParticipant
    for (const publication of [...me.trackPublications.values()]) {
      const source = publication.source as string as Source
      if (!allowed.has(source) && publication.track) await me.unpublishTrack(publication.track, true).catch(() => {})
    }
    this.refresh()
  }

  private finish(ending: Ending): void {
    this.ending.value = ending
    this.state.value = 'over'
    this.members.value = []
    this.sounds.value = []
    this.talking = false
  }

  /** Reads the room again, once for all events of one turn. */
  private refresh(): void {
    if (this.refreshing) return
    this.refreshing = true
    queueMicrotask(() => {
      this.refreshing = false
      if (!this.left && this.ending.value === null) this.read()
    })
  }

  private read(): void {
    const { room } = this
    switch (room.state) {
      case ConnectionState.Connected:
        this.state.value = 'connected'
        break
      case ConnectionState.Reconnecting:
      case ConnectionState.SignalReconnecting:
        this.state.value = 'reconnecting'
        break
      default:
        return
    }
    const others = [...room.remoteParticipants.values()].sort(
      (a, b) => (a.joinedAt?.getTime() ?? 0) - (b.joinedAt?.getTime() ?? 0) || (a.identity < b.identity ? -1 : 1),
    )
    this.members.value = [...others, room.localParticipant].map((participant) => this.view(participant))
    for (const one of [this.microphone, this.camera, this.screen]) one.look()
    this.sounds.value = others.flatMap((participant) =>
      [...participant.audioTrackPublications.values()].flatMap(({ track, source, trackSid }) =>
        track instanceof RemoteAudioTrack
          ? [{ key: trackSid, identity: participant.identity, source: source === Track.Source.ScreenShareAudio ? ('screen' as const) : ('microphone' as const), track }]
          : [],
      ),
    )
  }

  private view(participant: Participant): MemberView {
    const video = (source: Track.Source) => {
      const publication = participant.getTrackPublication(source)
      return publication && !publication.isMuted ? ((publication.videoTrack as VideoTrack | undefined) ?? null) : null
    }
    return {
      identity: participant.identity,
      name: participant.name || participant.identity,
      isMe: participant.isLocal,
      speaking: participant.isSpeaking && participant.isMicrophoneEnabled,
      quality: QUALITY[participant.connectionQuality],
      microphone: participant.isMicrophoneEnabled,
      camera: video(Track.Source.Camera),
      screen: video(Track.Source.ScreenShare),
      allowed: allowedSources(this.permission(participant)),
    }
  }

  private permission(participant: Participant): Permission | undefined {
    return participant.permissions
  }
}

const QUALITY: Record<ConnectionQuality, Quality> = {
  [ConnectionQuality.Excellent]: 'good',
  [ConnectionQuality.Good]: 'good',
  [ConnectionQuality.Unknown]: 'good',
  [ConnectionQuality.Poor]: 'weak',
  [ConnectionQuality.Lost]: 'lost',
}

/** LiveKit's address of the page's own server. */
export function serverAddress(page: { protocol: string; host: string }): string {
  return `${page.protocol === 'https:' ? 'wss' : 'ws'}://${page.host}`
}

const device = (id: string) => (id === '' ? {} : { deviceId: id })

function wordsFor(source: Source, thrown: unknown): string {
  if (thrown instanceof PublishTrackError) return thrown.status === 403 ? refusal([source]) : thrown.message
  if (thrown instanceof DOMException && (source === 'camera' || source === 'microphone')) {
    const { title, advice } = deviceProblem([source], thrown.name, browserOf(navigator.userAgent))
    return `${title} ${advice}`
  }
  return thrown instanceof Error && thrown.message !== '' ? thrown.message : 'That did not work.'
}
