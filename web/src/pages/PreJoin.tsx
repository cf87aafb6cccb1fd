/** Before the stage: who I am, how I look and sound, what I walk into. */
import { useEffect, useId, useState } from 'preact/hooks'
import * as api from '../api'
import * as choices from '../choices'
import { DeviceMenu } from '../call/DeviceMenu'
import { LevelMeter } from '../call/LevelMeter'
import { Picture } from '../call/Picture'
import { Preview } from '../call/preview'
import { usePolled } from '../polling'
import { followLink, go, pathTo } from '../router'
import { claimsOf, invitationFor, keepToken, takeTokenFromAddress } from '../tokens'
import { Header } from '../ui/Header'
import { Icon } from '../ui/Icon'
import { NotAllowed } from './NotAllowed'
import { RoomNow } from './RoomNow'
import './prejoin.css'

const LOOK_EVERY_MS = 3000
const NAME_CHARS_MAX = 64

export function PreJoin({ room }: { room: string }) {
  takeTokenFromAddress(room)
  const server = usePolled('server', api.server, () => 60000)
  const state = usePolled(`join ${room}`, (signal) => api.roomState(room, signal), () => LOOK_EVERY_MS)
  const title = state.value?.title || room
  useEffect(() => {
    document.title = `Join ${title} · amphi`
  }, [title])

  if (server.value?.access === 'token' && invitationFor(room) === null) return <NotAllowed room={room} />
  return (
    <div class="prejoin">
      <Header />
      <main>
        <h1>{title}</h1>
        <RoomNow state={state.value} error={state.error ?? server.error} />
        <Door room={room} />
      </main>
    </div>
  )
}

function Door({ room }: { room: string }) {
  const [preview, setPreview] = useState<Preview | null>(null)
  useEffect(() => {
    const made = new Preview()
    setPreview(made)
    return () => made.close()
  }, [])
  return (
    <div class="door">
      {preview ? <Mirror preview={preview} /> : <div class="mirror" />}
      <Form room={room} preview={preview} />
    </div>
  )
}

function Mirror({ preview }: { preview: Preview }) {
  const camera = preview.camera.value
  return (
    <div class="mirror">
      <Picture track={camera} testid="preview" class={camera ? 'mirrored' : 'unseen'} label="Your camera, mirrored" />
      {!camera && <p>{choices.cameraOn.value ? 'No picture' : 'Your camera is off'}</p>}
      <div class="mirror-toggles">
        <Toggle testid="mic-toggle" on={choices.microphoneOn.value} onToggle={(on) => (choices.microphoneOn.value = on)} word="Microphone" icon="microphone" />
        <Toggle testid="camera-toggle" on={choices.cameraOn.value} onToggle={(on) => (choices.cameraOn.value = on)} word="Camera" icon="camera" />
      </div>
    </div>
  )
}

interface ToggleProps {
  testid: string
  on: boolean
  onToggle: (on: boolean) => void
  word: string
  icon: 'microphone' | 'camera'
}

function Toggle({ testid, on, onToggle, word, icon }: ToggleProps) {
  return (
    <button type="button" class={on ? 'button' : 'button is-off'} data-testid={testid} aria-pressed={on} onClick={() => onToggle(!on)}>
      <Icon name={on ? icon : `${icon}Off`} />
      {word}
      <span aria-hidden="true">{on ? 'on' : 'off'}</span>
    </button>
  )
}

function Form({ room, preview }: { room: string; preview: Preview | null }) {
  const [entering, setEntering] = useState(false)
  const [refused, setRefused] = useState<string | null>(null)
  const originalId = useId()
  const invitation = invitationFor(room)
  const claims = invitation === null ? null : claimsOf(invitation)
  const fixedName = claims !== null && claims.grants.canUpdateOwnMetadata !== true
  const [typed, setTyped] = useState<string | null>(null)
  const name = fixedName ? claims.name || claims.identity : (typed ?? (claims?.name || choices.myName.value))

  async function enter(event: Event) {
    event.preventDefault()
    if (entering) return
    const called = name.trim()
    if (called === '') {
      setRefused('Say who you are: type a name.')
      return
    }
    if (!fixedName) choices.myName.value = called
    setRefused(null)
    setEntering(true)
    try {
      if (invitation !== null) keepToken(room, invitation, 'invitation')
      else keepToken(room, (await api.join(room, called)).token, 'open door')
      // The camera is given back before the stage asks for it: some drivers lend it once.
      preview?.close()
      go(pathTo('stage', room))
    } catch (thrown) {
      setRefused(api.wordsOf(thrown))
      setEntering(false)
    }
  }

  const nothing = !preview?.microphone.value && !preview?.camera.value
  return (
    <form class="door-form" onSubmit={(event) => void enter(event)} noValidate>
      <label class="field">
        Your name
        <input
          data-testid="name-input"
          {...(name === '' && matchMedia('(pointer: fine)').matches ? { 'data-focus-first': true } : {})}
          autocomplete="name"
          maxLength={NAME_CHARS_MAX}
          value={name}
          readOnly={fixedName}
          onInput={(event) => setTyped(event.currentTarget.value)}
        />
      </label>
      {fixedName && <p class="door-hint">Your invitation says who you are.</p>}
      {preview && <Devices preview={preview} />}
      <div class="check">
        <input id={originalId} type="checkbox" data-testid="original-sound-toggle" checked={choices.originalSound.value} onChange={(event) => (choices.originalSound.value = event.currentTarget.checked)} />
        <label for={originalId}>
          Original sound
          <small>No noise suppression. For music, with headphones.</small>
        </label>
      </div>
      <Problems preview={preview} />
      <p class="refused" role="alert">
        {refused}
      </p>
      <button type="submit" class="button primary enter" data-testid="enter-button" aria-disabled={entering}>
        {entering ? 'Joining' : nothing ? 'Join and listen' : 'Join'}
      </button>
      <p class="door-hint">
        Joining means that those inside see and hear you; when the room is on air, everyone who watches does. <a href={pathTo('watch', room)} onClick={followLink}>Only watch</a>
      </p>
    </form>
  )
}

function Devices({ preview }: { preview: Preview }) {
  return (
    <>
      <DeviceMenu testid="mic-select" label="Microphone" devices={preview.microphones.value} chosen={choices.microphoneId.value || currentId(preview.microphone.value)} onChoose={(id) => (choices.microphoneId.value = id)} />
      <LevelMeter track={preview.microphone.value} />
      <DeviceMenu testid="camera-select" label="Camera" devices={preview.cameras.value} chosen={choices.cameraId.value || currentId(preview.camera.value)} onChoose={(id) => (choices.cameraId.value = id)} />
    </>
  )
}

const currentId = (track: MediaStreamTrack | null) => track?.getSettings().deviceId ?? ''

function Problems({ preview }: { preview: Preview | null }) {
  const problems = preview?.problems.value ?? []
  return (
    <div role="status" class="problems">
      {problems.length > 0 && (
        <div class="note bad" data-testid="device-problem">
          {problems.map((problem) => (
            <p key={problem.title}>
              <strong>{problem.title}</strong>
              {problem.advice}
            </p>
          ))}
          <button type="button" class="button small" onClick={() => preview?.tryAgain()}>
            Try again
          </button>
        </div>
      )}
    </div>
  )
}
