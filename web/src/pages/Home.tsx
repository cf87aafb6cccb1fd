/** The home page: start or join a room, see what is live, play recordings. */
import { useEffect, useState } from 'preact/hooks'
import * as api from '../api'
import { usePolled } from '../polling'
import { recordings as listed } from '../recordings'
import { followLink, go, pathTo } from '../router'
import { destination, roomNameProblem } from '../rooms'
import { keepToken } from '../tokens'
import { Countdown, StartTime } from '../ui/Announcement'
import { Header } from '../ui/Header'
import { RecordingList } from '../ui/RecordingList'
import { count } from '../times'
import { HeroArt } from './HeroArt'
import { RoomCard } from './RoomCard'
import './home.css'

const ROOMS_EVERY_MS = 4000
const RECORDINGS_EVERY_MS = 10000
const RECORDINGS_SHOWN = 12

export function Home() {
  const rooms = usePolled('rooms', api.rooms, () => ROOMS_EVERY_MS)
  const recordings = usePolled('recordings', listed, () => RECORDINGS_EVERY_MS)
  const server = usePolled('server', api.server, () => 60000)
  useEffect(() => {
    document.title = 'amphi'
    document.querySelector(location.hash === '#recordings' ? '#recordings' : location.hash === '#live' ? '#live' : '#no')?.scrollIntoView()
  }, [])

  // On air first, then the fullest: the order of a list that people read from the left.
  const list = [...(rooms.value?.rooms ?? [])].sort(
    (a, b) => Number(b.on_air) - Number(a.on_air) || b.viewers - a.viewers || b.members - a.members,
  )
  const announced = rooms.value?.announced ?? []
  const open = server.value?.access !== 'token'

  return (
    <div class="home">
      <Header />
      <main>
        <section class="hero">
          <div>
            <h1>A few on stage. Everyone in the house.</h1>
            <p class="lead">
              Start a call in the browser. Open the doors when you are ready, and anyone can watch live a second or two
              behind.
            </p>
            <JoinBox />
            <p class="who">
              {open
                ? 'No account needed here. Anyone may open a room.'
                : 'Stages here open with an invitation link: paste it above. Anyone may watch.'}
            </p>
          </div>
          <HeroArt live={list.some((room) => room.on_air)} />
        </section>

        <section class="list" id="live" aria-labelledby="live-title">
          <h2 id="live-title">Live now</h2>
          {rooms.error && <p class="note bad" role="status">{rooms.error.message}</p>}
          <ul class="cards" data-testid="live-list">
            {list.map((room) => (
              <RoomCard key={room.room} room={room} />
            ))}
          </ul>
          {rooms.value && list.length === 0 && <p class="dim">Nobody is on stage right now. Start a room, and it appears here.</p>}
        </section>

        {announced.length > 0 && (
          <section class="list" aria-labelledby="announced-title">
            <h2 id="announced-title">Coming up</h2>
            <ul class="announced" data-testid="announced-list">
              {announced.map(({ room, title, starts }) => (
                <li key={room} data-room={room}>
                  <a href={pathTo('watch', room)} onClick={followLink}>
                    <strong>{title || room}</strong>
                    <span class="dim">
                      Starts <StartTime starts={starts} /> (<Countdown starts={starts} />)
                    </span>
                  </a>
                </li>
              ))}
            </ul>
          </section>
        )}

        <section class="list" id="recordings" aria-labelledby="recordings-title">
          <h2 id="recordings-title">
            Recordings
            {recordings.value && recordings.value.recordings.length > RECORDINGS_SHOWN && (
              <span>the newest {RECORDINGS_SHOWN} of {count(recordings.value.recordings.length)}</span>
            )}
          </h2>
          {recordings.error && <p class="note bad" role="status">{recordings.error.message}</p>}
          <RecordingList testid="recordings-list" recordings={(recordings.value?.recordings ?? []).slice(0, RECORDINGS_SHOWN)} />
          {recordings.value?.recordings.length === 0 && <p class="dim">What is recorded on stage is listed here.</p>}
        </section>
      </main>
      <footer class="foot">
        {server.value && <span>amphi {server.value.version}</span>}
        <a href="/assets/licences.md">Licences</a>
      </footer>
    </div>
  )
}

function JoinBox() {
  const [typed, setTyped] = useState('')
  const [problem, setProblem] = useState<string | null>(null)

  function enter(event: Event) {
    event.preventDefault()
    const { room, token } = destination(typed)
    const wrong = roomNameProblem(room)
    setProblem(wrong)
    if (wrong !== null) return
    if (token !== null) keepToken(room, token, 'invitation')
    go(pathTo('join', room))
  }

  return (
    <form class="join" onSubmit={enter} noValidate>
      <input
        class="input"
        data-testid="room-input"
        aria-label="Room name or invitation link"
        placeholder="Room name, or paste a link"
        autocomplete="off"
        autocapitalize="none"
        spellcheck={false}
        value={typed}
        aria-invalid={problem !== null}
        aria-describedby="room-problem"
        onInput={(event) => {
          setTyped(event.currentTarget.value)
          setProblem(null)
        }}
      />
      <button type="submit" class="button primary" data-testid="join-button">
        Start or join
      </button>
      <p id="room-problem" class="problem" role="alert">
        {problem}
      </p>
    </form>
  )
}

