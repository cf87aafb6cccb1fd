/** The pages' start: one document, one router, the page's own code loaded when it is needed. */
import { render, type ComponentType } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import { cameFromAnotherPage, place, startRouter } from './router'
import { startTheme } from './ui/theme'
import { Home } from './pages/Home'
import { NotFound } from './pages/NotFound'
import { Message } from './ui/Message'
import './style/fonts.css'
import './style/tokens.css'
import './style/base.css'
import './ui/controls.css'

function Page() {
  const at = place.value
  switch (at.page) {
    case 'home':
      return <Home />
    case 'join':
      return <Lazy key={`join ${at.room}`} load={loadPreJoin} props={{ room: at.room }} />
    case 'stage':
      return <Lazy key={`stage ${at.room}`} load={loadStage} props={{ room: at.room }} />
    case 'watch':
      return <Lazy key={`watch ${at.room}`} load={loadWatch} props={{ room: at.room }} />
    case 'embed':
      return <Lazy key={`embed ${at.room}`} load={loadEmbed} props={{ room: at.room }} />
    case 'recording':
      return <Lazy key={`recording ${at.id}`} load={loadRecording} props={{ id: at.id }} />
    case 'not-found':
      return <NotFound />
  }
}

const loadPreJoin = () => import('./pages/PreJoin').then((module) => module.PreJoin)
const loadStage = () => import('./pages/Stage').then((module) => module.Stage)
const loadWatch = () => import('./pages/Watch').then((module) => module.Watch)
const loadEmbed = () => import('./pages/Embed').then((module) => module.Embed)
const loadRecording = () => import('./pages/RecordingPage').then((module) => module.RecordingPage)

interface LazyProps<P extends object> {
  load: () => Promise<ComponentType<P>>
  props: P
}

/** A page whose code comes when it is wanted. A server that was updated meanwhile has other file names, so a
 * failure asks for a reload instead of leaving an empty page. */
function Lazy<P extends object>({ load, props }: LazyProps<P>) {
  const [Loaded, setLoaded] = useState<ComponentType<P> | null>(null)
  const [failed, setFailed] = useState(false)
  useEffect(() => {
    load().then(
      (component) => setLoaded(() => component),
      () => setFailed(true),
    )
  }, [load])
  useEffect(() => {
    if (Loaded && cameFromAnotherPage()) focusStart()
  }, [Loaded])
  if (failed) {
    return (
      <Message title="This page could not be loaded">
        <p>The connection was lost, or amphi was updated while this page was open.</p>
        <button type="button" class="button primary" onClick={() => location.reload()}>
          Load it again
        </button>
      </Message>
    )
  }
  return Loaded ? <Loaded {...props} /> : null
}

/** Puts the focus where a new page begins: a field that waits for an answer, or its title. */
function focusStart(): void {
  const start = document.querySelector<HTMLElement>('[data-focus-first]') ?? document.querySelector('h1')
  if (start instanceof HTMLHeadingElement) start.tabIndex = -1
  start?.focus({ preventScroll: true })
}

startTheme()
startRouter()
const root = document.getElementById('page')
if (root) render(<Page />, root)
