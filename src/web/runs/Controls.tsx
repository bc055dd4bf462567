/** What can be done with a run: stop, resume, take along, delete. */
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { Ellipsis, Pause, Play } from 'lucide-react'
import { useState } from 'react'
import { useLocation } from 'wouter'
import type { Resumed, RunPage } from '../../studio/runs/api.ts'
import { request } from '../api.ts'
import { Button, IconButton } from '../ui/Button.tsx'
import { ConfirmDialog } from '../ui/Dialog.tsx'
import { Menu, MenuItem, MenuLink, MenuSeparator } from '../ui/Menu.tsx'
import { useToast } from '../ui/Toasts.tsx'
import { runApi } from './address.ts'

const said = (what: 'stop' | 'resume', begun: Resumed | undefined) => {
  if (what === 'stop') return 'The run was asked to stop. It writes a checkpoint first.'
  return begun?.waits
    ? 'The run goes on when the work before it has ended.'
    : 'The run goes on from its last checkpoint.'
}

export const Controls = ({ name, page: { can, row, folder } }: { name: string; page: RunPage }) => {
  const client = useQueryClient()
  const show = useToast()
  const [, go] = useLocation()
  const [asking, setAsking] = useState(false)
  const act = useMutation({
    mutationFn: (what: 'stop' | 'resume') => request<Resumed | undefined>('POST', runApi(name, `/${what}`), {}),
    onSuccess: (begun, what) => show({ text: said(what, begun) }),
    onError: (error) => show({ text: error.message, look: 'error' }),
    onSettled: () => client.invalidateQueries({ queryKey: ['run', name] }),
  })
  const remove = useMutation({
    mutationFn: () => request('DELETE', runApi(name)),
    onSuccess: () => {
      void client.invalidateQueries({ queryKey: ['runs'] })
      go('/runs')
      show({ text: `${name} was deleted.` })
    },
    onError: (error) => show({ text: error.message, look: 'error' }),
  })
  const file = (rest: string) => `/api${runApi(name, rest)}`
  return (
    <>
      {can.stop && (
        <Button onClick={() => act.mutate('stop')} disabled={act.isPending}>
          <Pause size={16} aria-hidden />
          Stop
        </Button>
      )}
      {can.resume && (
        <Button onClick={() => act.mutate('resume')} disabled={act.isPending}>
          <Play size={16} aria-hidden />
          Resume
        </Button>
      )}
      <Menu
        trigger={
          <IconButton label="More">
            <Ellipsis size={16} aria-hidden />
          </IconButton>
        }
      >
        {row.kind === 'attune' && (
          <MenuLink href={file('/report.html')} download={`${name.replaceAll('/', '-')}.html`}>
            Save the page as HTML
          </MenuLink>
        )}
        <MenuLink href={file('/curves.csv')} download={`${name.replaceAll('/', '-')}.csv`}>
          Save the curves as CSV
        </MenuLink>
        {can.delete && (
          <>
            <MenuSeparator />
            <MenuItem danger onSelect={() => setAsking(true)}>
              Delete the run
            </MenuItem>
          </>
        )}
      </Menu>
      <ConfirmDialog
        open={asking}
        onOpenChange={setAsking}
        title="Delete this run?"
        action="Delete the run"
        onConfirm={() => remove.mutate()}
      >
        The folder <code>{folder}</code> with its model, checkpoints and log is removed from the disk. This cannot be
        taken back.
      </ConfirmDialog>
    </>
  )
}
