// The walk through the computation: forward one operation at a time, then back.

const stepInput = document.getElementById("step"), stepOutput = document.getElementById("where");

function stepWords() {
  const { step } = state;
  if (step === 0) return "nothing computed";
  if (step > nodes.length) return `backward ${step - nodes.length} of ${backwardNodes.length}`;
  return `forward ${step} of ${nodes.length}`;
}

function showStep() {
  stepInput.max = steps.length;
  stepInput.value = state.step;
  stepOutput.textContent = stepWords();
  stepInput.setAttribute("aria-valuetext", stepWords());
  document.getElementById("first").disabled = document.getElementById("back").disabled = state.step === 0;
  document.getElementById("last").disabled = document.getElementById("forward").disabled = state.step === steps.length;
}

/** Goes to a step; the operation that it is about is chosen and brought into view. */
function goToStep(step, follow = true) {
  state.step = Math.min(steps.length, Math.max(0, step));
  showStep();
  const current = steps[state.step - 1];
  if (follow && current) reveal({ kind: "node", place: current.node });
  else { fillPanel(); redraw(); }
  if (current) say(`${stepWords()}: ${nodes[current.node].operation}`);
}

stepInput.addEventListener("input", () => goToStep(Number(stepInput.value)));
document.getElementById("first").addEventListener("click", () => goToStep(0));
document.getElementById("back").addEventListener("click", () => goToStep(state.step - 1));
document.getElementById("forward").addEventListener("click", () => goToStep(state.step + 1));
document.getElementById("last").addEventListener("click", () => goToStep(steps.length, false));
