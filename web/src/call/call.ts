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

/** What LiveKit calls what we publish with: H.264, because the broadcast takes it as it is. */
const ROOM_OPTIONS = {
  adaptiveStream: false,
  dynacast: false,
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
  readonly sharing = signal(false)
  /** Since when this person is in the call, in ms since 1970. */
  readonly since = signal<number | null>(null)

  private readonly room: Room
  private left = false
  private refreshing = false
  private talking: 'no' | 'starting' | 'yes' = 'no'
  private notices = 0
  private noticeTimer = 0

  constructor() {
    this.room = new Room({
      ...ROOM_OPTIONS,
      audioCaptureDefaults: this.soundOptions(),
      ...(choices.speakerId.value === '' ? {} : { audioOutput: { deviceId: choices.speakerId.value } }),
    })
    this.listen()
  }

  /** Joins, then opens the microphone and the camera as chosen at the door. */
  async join(token: string, name: string): Promise<void> {
    this.ending.value = null
    this.state.value = 'connecting'
    if (!isBrowserSupported()) {
      this.finish({ title: 'This browser cannot hold a call', words: 'It lacks WebRTC. Use a current Chromium, Firefox or Safari.', again: false, refused: false })
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
    await Promise.all([
      choices.microphoneOn.value && allowed.has('microphone') ? this.setMicrophone(true) : null,
      choices.cameraOn.value && allowed.has('camera') ? this.setCamera(true) : null,
    ])
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
    const on = !this.room.localParticipant.isMicrophoneEnabled
    if (await this.setMicrophone(on)) choices.microphoneOn.value = on
  }

  async toggleCamera(): Promise<void> {
    const on = !this.room.localParticipant.isCameraEnabled
    if (await this.setCamera(on)) choices.cameraOn.value = on
  }

  async toggleScreen(): Promise<void> {
    const on = !this.room.localParticipant.isScreenShareEnabled
    if (on && !this.may('screen_share')) return
    if (on && !('getDisplayMedia' in (navigator.mediaDevices ?? {}))) {
      this.say('This browser cannot share a screen.')
      return
    }
    try {
      await this.room.localParticipant.setScreenShareEnabled(on, { audio: true, selfBrowserSurface: 'include' })
    } catch (thrown) {
      // Closing the browser's question is an answer, not a failure.
      if (nameOf(thrown) !== 'NotAllowedError') this.say(wordsFor('screen_share', thrown))
    }
    this.refresh()
  }

  /** Holding a key to talk: on while it is held, and only when the microphone was off. */
  async talk(held: boolean): Promise<void> {
    if (held) {
      if (this.talking !== 'no' || this.room.localParticipant.isMicrophoneEnabled) return
      this.talking = 'starting'
      const opened = await this.setMicrophone(true)
      // Let go before the microphone was open.
      if (this.talking !== 'starting' && opened) await this.setMicrophone(false)
      else this.talking = opened ? 'yes' : 'no'
      return
    }
    const was = this.talking
    this.talking = 'no'
    if (was === 'yes') await this.setMicrophone(false)
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

  private async setMicrophone(on: boolean): Promise<boolean> {
    if (on && !this.may('microphone')) return false
    const options = { ...this.soundOptions(), ...device(choices.microphoneId.value) }
    const publishing = choices.originalSound.value ? { dtx: false, audioPreset: AudioPresets.musicHighQuality } : {}
    return this.set('microphone', () => this.room.localParticipant.setMicrophoneEnabled(on, options, publishing))
  }

  private async setCamera(on: boolean): Promise<boolean> {
    if (on && !this.may('camera')) return false
    const options = { resolution: VideoPresets.h720.resolution, ...device(choices.cameraId.value) }
    return this.set('camera', () => this.room.localParticipant.setCameraEnabled(on, options))
  }

  private async set(source: Source, act: () => Promise<unknown>): Promise<boolean> {
    try {
      await act()
      return true
    } catch (thrown) {
      if (!this.left) this.say(wordsFor(source, thrown))
      return false
    } finally {
      this.refresh()
    }
  }

  private may(source: Source): boolean {
    if (allowedSources(this.permission(this.room.localParticipant)).has(source)) return true
    this.say(refusal(source))
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
    this.sharing.value = false
    this.talking = 'no'
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
    this.sharing.value = room.localParticipant.isScreenShareEnabled
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
  if (thrown instanceof PublishTrackError) return thrown.status === 403 ? refusal(source) : thrown.message
  if (thrown instanceof DOMException && (source === 'camera' || source === 'microphone')) {
    const { title, advice } = deviceProblem([source], thrown.name, browserOf(navigator.userAgent))
    return `${title} ${advice}`
  }
  return thrown instanceof Error && thrown.message !== '' ? thrown.message : 'That did not work.'
}
