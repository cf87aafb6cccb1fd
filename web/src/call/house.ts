/** What the room is to the world while this person is in it: its broadcast, its recording, its members' rights. */
import { signal, type Signal } from '@preact/signals'
import * as api from '../api'
import { claimsOf } from '../tokens'
import type { Call, MemberView } from './call'
import { changeOf, type Source } from './permissions'

export type Busy = 'broadcast' | 'recording' | null

/** What is recorded beside the program. */
export interface RecordWish {
  /** Every member's own tracks. */
  tracks: boolean
}

/** The HTTP side of a call: asks the server with the member's own token and says refusals in words. */
export class House {
  /** What is being asked for right now, so that it is not asked for twice. */
  readonly busy: Signal<Busy> = signal<Busy>(null)
  /** Asks the room's state again; set by the page that polls it. */
  refresh: () => void = () => {}

  private readonly room: string
  private readonly token: string
  private readonly call: Call
  private readonly grants: api.Grants

  constructor(room: string, token: string, call: Call) {
    this.room = room
    this.token = token
    this.call = call
    this.grants = claimsOf(token)?.grants ?? {}
  }

  get mayBroadcast(): boolean {
    return this.grants.roomBroadcast === true || this.grants.roomAdmin === true
  }

  get mayRecord(): boolean {
    return this.grants.roomRecord === true || this.grants.roomAdmin === true
  }

  get mayHost(): boolean {
    return this.grants.roomAdmin === true
  }

  /** What the room is called, and when it goes on air next. */
  get mayConfigure(): boolean {
    return this.grants.roomCreate === true || this.grants.roomAdmin === true
  }

  /** `null` takes it back. */
  async announce(starts: string | null): Promise<void> {
    await this.ask(null, () => api.announce(this.room, this.token, starts))
  }

  /** What viewers reported; asked for by who may host alone. */
  reports(signal: AbortSignal): Promise<{ reports: api.Report[] }> {
    return api.reports(this.room, this.token, signal)
  }

  async reportDone(id: number): Promise<void> {
    await this.ask(null, () => api.reportDone(this.room, this.token, id))
  }

  refuseBroadcast(): void {
    this.call.say('You may not start or end a broadcast here (needs: roomBroadcast).')
  }

  /** While the call is still being joined. */
  refuseYet(): void {
    this.call.say('You are not in the room yet. Try again in a moment.')
  }

  /** `record`: and keeps it, if it went on air. */
  async goLive(wish: api.ProgramWish, record: RecordWish | null): Promise<void> {
    const live = await this.ask('broadcast', () => api.startBroadcast(this.room, this.token, wish))
    if (live && record) await this.record(record)
  }

  async changeBroadcast(change: Partial<api.ProgramWish>): Promise<void> {
    await this.ask('broadcast', () => api.changeBroadcast(this.room, this.token, change))
  }

  async endBroadcast(endRecording: boolean): Promise<void> {
    const ended = await this.ask('broadcast', () => api.endBroadcast(this.room, this.token))
    if (ended && endRecording) await this.endRecording()
  }

  refuseRecording(): void {
    this.call.say('You may not record here (needs: roomRecord).')
  }

  async record({ tracks }: RecordWish): Promise<void> {
    await this.ask('recording', () => api.startRecording(this.room, this.token, tracks))
  }

  async endRecording(): Promise<void> {
    await this.ask('recording', () => api.stopRecording(this.room, this.token))
  }

  async allow(member: MemberView, source: Source, give: boolean): Promise<void> {
    await this.ask(null, () => api.changeMember(this.room, this.token, member.identity, changeOf(member.allowed, source, give)))
  }

  async remove(member: MemberView): Promise<void> {
    await this.ask(null, () => api.removeMember(this.room, this.token, member.identity))
  }

  /** False when it was not done, which is said then. */
  private async ask(what: Busy, act: () => Promise<unknown>): Promise<boolean> {
    if (what !== null && this.busy.value !== null) return false
    if (what !== null) this.busy.value = what
    let done = true
    try {
      await act()
    } catch (thrown) {
      done = false
      this.call.say(api.wordsOf(thrown))
    }
    if (what !== null) this.busy.value = null
    this.refresh()
    return done
  }
}
