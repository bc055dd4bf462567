/** An error, as the server words it. */
export const ErrorNote = ({ error, page = false }: { error: unknown; page?: boolean }) => (
  <div className={page ? 'error page' : 'error'} role="alert">
    {error instanceof Error ? error.message : String(error)}
  </div>
)
