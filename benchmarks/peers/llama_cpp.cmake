# Two thirds of what llama-cpp-python compiles is not what answers: argument parsing, chat forms.
set(LLAMA_BUILD_COMMON OFF)
