/** Tabs of a page, and a row of choices of which one holds. */
import { Tabs as RadixTabs, ToggleGroup } from 'radix-ui'
import type { ReactNode } from 'react'
import './tabs.css'

type Tab = { value: string; name: ReactNode; panel: ReactNode; disabled?: boolean }

/** Only the open panel is mounted. */
export const Tabs = (props: { label: string; tabs: readonly Tab[]; value: string; onChange(value: string): void }) => (
  <RadixTabs.Root value={props.value} onValueChange={props.onChange}>
    <RadixTabs.List className="tabs" aria-label={props.label}>
      {props.tabs.map(({ value, name, disabled }) => (
        <RadixTabs.Trigger key={value} value={value} disabled={disabled}>
          {name}
        </RadixTabs.Trigger>
      ))}
    </RadixTabs.List>
    {props.tabs.map(({ value, panel }) => (
      <RadixTabs.Content key={value} value={value} className="panel">
        {panel}
      </RadixTabs.Content>
    ))}
  </RadixTabs.Root>
)

type SegmentedProps<T extends string> = {
  label: string
  choices: readonly { value: NoInfer<T>; name: ReactNode }[]
  value: T
  onChange(value: NoInfer<T>): void
}

/** Two to five short choices side by side: the axis of a plot, a view. */
export const Segmented = <T extends string>({ label, choices, value, onChange }: SegmentedProps<T>) => (
  <ToggleGroup.Root
    type="single"
    className="segmented"
    aria-label={label}
    value={value}
    onValueChange={(chosen) => chosen && onChange(chosen as T)}
  >
    {choices.map((choice) => (
      <ToggleGroup.Item key={choice.value} value={choice.value}>
        {choice.name}
      </ToggleGroup.Item>
    ))}
  </ToggleGroup.Root>
)
