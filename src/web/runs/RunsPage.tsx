/** The runs of the folder. */
import { EmptyState } from '../ui/EmptyState.tsx'

const RunsPage = () => <EmptyState title="No runs yet" next={<code>attune sft --help</code>} />

export default RunsPage
