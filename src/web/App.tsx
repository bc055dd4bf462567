/** The pages by address, each loaded when it is first opened. */
import { useQuery } from '@tanstack/react-query'
import type { ComponentType } from 'react'
import { Route, Switch } from 'wouter'
import type { Session } from '../studio/api.ts'
import { get } from './api.ts'
import { LoadedPage } from './LoadedPage.tsx'
import { Shell } from './Shell.tsx'
import { SessionContext } from './session.ts'
import { EmptyState } from './ui/EmptyState.tsx'
import { ErrorNote } from './ui/ErrorNote.tsx'

/** Pages of a part: one row each. */
const pages: readonly [path: string, load: () => Promise<{ default: ComponentType }>][] = [
  ['/', () => import('./start/StartPage.tsx')],
  ['/label', () => import('./label/ProjectsPage.tsx')],
  ['/label/people', () => import('./label/PeoplePage.tsx')],
  ['/label/:project', () => import('./label/ProjectPage.tsx')],
  ['/label/:project/tasks', () => import('./label/TasksPage.tsx')],
  ['/label/:project/agreement', () => import('./label/AgreementPage.tsx')],
  ['/label/:project/adjudicate', () => import('./label/AdjudicatePage.tsx')],
  ['/label/:project/settings', () => import('./label/SettingsPage.tsx')],
  ['/runs', () => import('./runs/RunsPage.tsx')],
  ['/play', () => import('./play/PlayPage.tsx')],
  ['/runs/compare', () => import('./runs/ComparePage.tsx')],
  ['/runs/*', () => import('./runs/RunPage.tsx')],
  ['/reports', () => import('./reports/ReportsPage.tsx')],
  ['/train', () => import('./train/TrainPage.tsx')],
  ['/train/jobs/:id', () => import('./train/JobPage.tsx')],
  ['/train/loop/:project', () => import('./train/LoopPage.tsx')],
  ['/label/:project/task/:id?', () => import('./label/annotate/AnnotatePage.tsx')],
]

export const App = () => {
  const session = useQuery({ queryKey: ['session'], queryFn: () => get<Session>('/session'), staleTime: Infinity })
  if (session.isPending) return null
  if (session.isError) return <ErrorNote error={session.error} page />
  return (
    <SessionContext value={session.data}>
      <Shell>
        <Switch>
          {pages.map(([path, load]) => (
            <Route key={path} path={path}>
              <LoadedPage load={load} />
            </Route>
          ))}
          <Route>
            <EmptyState page title="There is no such page" next={<a href="/">Go to the start</a>} />
          </Route>
        </Switch>
      </Shell>
    </SessionContext>
  )
}
