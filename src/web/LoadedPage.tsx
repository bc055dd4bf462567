/**
 * A component whose script is loaded when it is first shown. React.lazy does this too, but keeps its fallback for 300 ms at
 * least, however soon the script is there.
 */
import { type ComponentType, useEffect, useState } from 'react'
import { ErrorNote } from './ui/ErrorNote.tsx'

type Load = () => Promise<{ default: ComponentType }>

const loaded = new Map<Load, ComponentType>()

export const LoadedPage = ({ load }: { load: Load }) => {
  const [Page, setPage] = useState(() => loaded.get(load))
  const [failed, setFailed] = useState(false)
  useEffect(() => {
    if (loaded.has(load)) return
    load().then(
      (made) => {
        loaded.set(load, made.default)
        setPage(() => made.default)
      },
      () => setFailed(true),
    )
  }, [load])
  if (failed)
    return <ErrorNote error="This page could not be loaded; is attune studio still running? Reload it." page />
  return Page ? <Page /> : null
}
