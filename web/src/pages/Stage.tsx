/** The stage: the call, and its way to the world. */
import { useEffect, useRef, useState } from 'preact/hooks'
import * as api from '../api'
import { AirFrame } from '../call/AirFrame'
import { Announce } from '../call/Announce'
import { Call } from '../call/call'
import { Controls, type Panel, type Question } from '../call/Controls'
import { House } from '../call/house'
import { KEYS, useKeys } from '../call/keys'
import { PeoplePanel } from '../call/PeoplePanel'
import { Pictures } from '../call/Pictures'
import { Devices, EndBroadcast, GoLive, OnAir, StartRecording } from '../call/questions'
import { Sounds } from '../call/Sounds'
import { TopBar } from '../call/TopBar'
import * as choices from '../choices'
import { usePolled } from '../polling'
import { go, pathTo } from '../router'
import { forgetToken, takeTokenFromAddress, tokenFor } from '../tokens'
import { Icon } from '../ui/Icon'
import { KeyList } from '../ui/KeyList'
import { Message } from '../ui/Message'
import './stage.css'

const LOOK_EVERY_MS = 2000
const LOOK_WHILE_STARTING_MS = 1000
/** A call that held this long was a success: the next loss is counted from nothing. */
const HELD_AFTER_MS = 20_000
const REJOIN_AFTER_MS = 1500
const REJOIN_AFTER_MS_MAX = 15_000
const VAIN_TRIES_MAX = 12

export function Stage({ room }: { room: string }) {
  takeTokenFromAddress(room)
  const token = tokenFor(room)
  // Nobody steps on stage without having passed the door.
  useEffect(() => {
    if (token === null) go(pathTo('join', room), 'replace')
  }, [token === null])
  // The token of the moment of coming in stays this call's token.
  const [held] = useState(token)
  return held === null ? null : <InRoom room={room} token={held} />
}

function InRoom({ room, token }: { room: string; token: string }) {
  const [session, setSession] = useState<{ call: Call; house: House } | null>(null)
  const [tries, setTries] = useState(0)
  /** How often coming back was tried in vain since the call last held. */
  const vain = useRef(0)
  useEffect(() => {
    const call = new Call()
    setSession({ call, house: new House(room, token, call) })
    void call.join(token, choices.myName.value)
    // A page that comes back from the browser's store of left pages has a call that was left.
    const back = (event: PageTransitionEvent) => {
      if (event.persisted) location.reload()
    }
    addEventListener('pageshow', back)
    return () => {
      removeEventListener('pageshow', back)
      call.leave()
    }
  }, [tries])
  if (!session) return null
  return (
    <OnStage
      key={tries}
      room={room}
      {...session}
      vain={vain}
      onRejoin={() => {
        vain.current += 1
        setTries(tries + 1)
      }}
    />
  )
}

interface Props {
  room: string
  call: Call
  house: House
  vain: { current: number }
  onRejoin: () => void
}

function OnStage({ room, call, house, vain, onRejoin }: Props) {
  const polled = usePolled(
    `stage ${room}`,
    (signal) => api.roomState(room, signal),
    (newest) => (newest?.broadcast.state === 'starting' ? LOOK_WHILE_STARTING_MS : LOOK_EVERY_MS),
  )
  house.refresh = polled.refresh
  const server = usePolled('server', api.server, () => 60000)
  const [panel, setPanel] = useState<Panel>(null)
  const [question, setQuestion] = useState<Question>(null)
  const state = polled.value
  const title = state?.title || room
  const live = state !== null && state.broadcast.state !== 'off'
  const recording = state?.recording.state === 'recording'
  const starts = state?.broadcast.starts ?? null
  const seen = state?.broadcast.state === 'on_air'
  const close = () => setQuestion(null)
  const leave = () => {
    call.leave()
    go('/')
  }

  useEffect(() => {
    document.title = `${seen ? 'On air: ' : ''}${title} · amphi`
  }, [title, seen])

  const held = call.state.value === 'connected'
  useEffect(() => {
    if (!held) return
    const timer = setTimeout(() => (vain.current = 0), HELD_AFTER_MS)
    return () => clearTimeout(timer)
  }, [held])

  useKeys((action, down) => {
    switch (action) {
      case 'microphone':
        return void call.toggleMicrophone()
      case 'camera':
        return void call.toggleCamera()
      case 'screen':
        return void call.toggleScreen()
      case 'people':
        return setPanel(panel === 'people' ? null : 'people')
      case 'talk':
        return void call.talk(down)
      case 'keys':
        return setQuestion('keys')
      case 'back':
        return setPanel(null)
    }
  })

  if (call.state.value === 'over') return <Over room={room} call={call} access={server.value?.access ?? null} vain={vain.current} onRejoin={onRejoin} onLeave={leave} />
  return (
    <div class={panel === null ? 'stage' : 'stage with-panel'}>
      <TopBar room={room} title={title} state={state} call={call} house={house} onKeys={() => setQuestion('keys')} />
      <main class="stage-main">
        {seen && <AirFrame />}
        {call.state.value === 'connecting' ? <p class="stage-wait" role="status">Joining {title}</p> : <Pictures call={call} />}
        <Sounds call={call} />
        <div class="stage-messages">
          {call.state.value === 'reconnecting' && (
            <p class="banner bad" data-testid="reconnecting" role="alert">
              <span class="spinner" aria-hidden="true" />
              The connection was lost. Reconnecting.
            </p>
          )}
          {call.soundBlocked.value && (
            <button type="button" class="button primary" data-testid="start-audio-button" onClick={() => void call.startSound()}>
              <Icon name="volume" />
              Start audio
            </button>
          )}
          <Notice call={call} />
        </div>
        {state?.recording.note && (
          <p class="note bad stage-note" role="status">
            {state.recording.note}
          </p>
        )}
        {live && state.broadcast.note && <p class="note stage-note">{state.broadcast.note}</p>}
      </main>
      {panel === 'people' && (
        <PeoplePanel room={room} call={call} house={house} openDoor={server.value?.access === 'open'} onClose={() => setPanel(null)} />
      )}
      <Controls call={call} house={house} state={state} panel={panel} onPanel={setPanel} onAsk={setQuestion} onLeave={leave} />
      {question === 'go-live' && <GoLive house={house} server={server.value} title={state?.title ?? ''} starts={starts} recording={recording} onAnnounce={() => setQuestion('announce')} onClose={close} />}
      {question === 'announce' && <Announce room={room} house={house} starts={starts} onClose={close} />}
      {question === 'record' && !recording && <StartRecording house={house} server={server.value} onClose={close} />}
      {question === 'on-air' && live && <OnAir room={room} house={house} server={server.value} state={state} onClose={close} />}
      {question === 'end' && live && <EndBroadcast house={house} viewers={state.broadcast.viewers} recording={recording} onClose={close} />}
      {question === 'devices' && <Devices call={call} onClose={close} />}
      {question === 'keys' && <KeyList keys={KEYS} onClose={close} />}
    </div>
  )
}

/** The live region is always there, so that screen readers hear what is put into it. */
function Notice({ call }: { call: Call }) {
  const notice = call.notice.value
  return (
    <div class="notice" data-testid="notice" role="status">
      {notice && (
        <p key={notice.number} class="banner">
          <span>{notice.text}</span>
          <button type="button" class="button plain square" aria-label="Dismiss" onClick={() => call.hush()}>
            <Icon name="close" />
          </button>
        </p>
      )}
    </div>
  )
}

interface OverProps {
  room: string
  call: Call
  access: api.ServerInfo['access'] | null
  vain: number
  onRejoin: () => void
  onLeave: () => void
}

function Over({ room, call, access, vain, onRejoin, onLeave }: OverProps) {
  const ending = call.ending.value
  const byItself = ending?.byItself === true && vain < VAIN_TRIES_MAX
  useEffect(() => {
    if (!byItself) return
    const timer = setTimeout(onRejoin, Math.min(REJOIN_AFTER_MS * 2 ** vain, REJOIN_AFTER_MS_MAX))
    return () => clearTimeout(timer)
  }, [byItself])
  if (!ending) return null
  const toDoor = () => {
    forgetToken(room)
    go(pathTo('join', room), 'replace')
  }
  return (
    <Message title={ending.title}>
      <p data-testid="ending">
        {ending.words}
        {byItself && ' Trying again by itself.'}
      </p>
      <div class="actions">
        {ending.again && (
          <button type="button" class="button primary" data-testid="rejoin-button" onClick={onRejoin}>
            {byItself ? 'Rejoin at once' : 'Rejoin'}
          </button>
        )}
        {!ending.again && access === 'open' && (
          <button type="button" class="button primary" onClick={toDoor}>
            Back to the door
          </button>
        )}
        <button type="button" class="button" onClick={onLeave}>
          To the home page
        </button>
      </div>
    </Message>
  )
}
